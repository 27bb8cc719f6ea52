/* probe.h: the attacker. It runs inside a sandbox as "probe NAME" and prints
 * every forbidden thing that it could do. test_escape copies itself and its
 * libraries into an image for this. */
#ifndef CONTREE_PROBE_H
#define CONTREE_PROBE_H

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

struct call {
    const char *name;
    long number;
};

/* The system calls that sandbox/filter.h forbids. */
static const struct call forbidden[] = {
    {"mount", SYS_mount},
    {"umount2", SYS_umount2},
    {"pivot_root", SYS_pivot_root},
    {"open_tree", SYS_open_tree},
    {"move_mount", SYS_move_mount},
    {"fsopen", SYS_fsopen},
    {"fsconfig", SYS_fsconfig},
    {"fsmount", SYS_fsmount},
    {"fspick", SYS_fspick},
    {"mount_setattr", SYS_mount_setattr},
    {"unshare", SYS_unshare},
    {"setns", SYS_setns},
    {"pidfd_getfd", SYS_pidfd_getfd},
    {"bpf", SYS_bpf},
    {"perf_event_open", SYS_perf_event_open},
    {"userfaultfd", SYS_userfaultfd},
    {"io_uring_setup", SYS_io_uring_setup},
    {"io_uring_enter", SYS_io_uring_enter},
    {"io_uring_register", SYS_io_uring_register},
    {"keyctl", SYS_keyctl},
    {"add_key", SYS_add_key},
    {"request_key", SYS_request_key},
    {"fanotify_init", SYS_fanotify_init},
    {"syslog", SYS_syslog},
    {"init_module", SYS_init_module},
    {"finit_module", SYS_finit_module},
    {"delete_module", SYS_delete_module},
    {"kexec_load", SYS_kexec_load},
    {"acct", SYS_acct},
    {"quotactl", SYS_quotactl},
    {"swapon", SYS_swapon},
    {"swapoff", SYS_swapoff},
    {"reboot", SYS_reboot},
    {"vhangup", SYS_vhangup},
    {"sethostname", SYS_sethostname},
    {"setdomainname", SYS_setdomainname},
    {"open_by_handle_at", SYS_open_by_handle_at},
    {"name_to_handle_at", SYS_name_to_handle_at},
    {"settimeofday", SYS_settimeofday},
    {"clock_settime", SYS_clock_settime},
    {"clock_adjtime", SYS_clock_adjtime},
    {"adjtimex", SYS_adjtimex},
    {"mbind", SYS_mbind},
    {"set_mempolicy", SYS_set_mempolicy},
    {"migrate_pages", SYS_migrate_pages},
    {"move_pages", SYS_move_pages},
#ifdef SYS_iopl
    {"iopl", SYS_iopl},
    {"ioperm", SYS_ioperm},
    {"modify_ldt", SYS_modify_ldt},
    {"kexec_file_load", SYS_kexec_file_load},
#endif
};

static int complaints;

static inline void expect(const char *what, long result, int error) {
    if (result == -1 && errno == error)
        return;
    printf("%s: %ld, errno %d\n", what, result, errno);
    complaints++;
}

static inline void probe_calls(void) {
    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++)
        expect(forbidden[i].name, syscall(forbidden[i].number, 0, 0, 0, 0, 0),
               EPERM);
    char clone_args[88] = {0};
    expect("clone3", syscall(SYS_clone3, clone_args, sizeof clone_args),
           ENOSYS);
    for (int number = 463; number < 600; number++) {
        char name[32];
        snprintf(name, sizeof name, "call %d", number);
        expect(name, syscall(number, 0, 0, 0, 0, 0), ENOSYS);
    }
}

/* Make every system call with meaningless arguments, each in a process of its
 * own, which may stop or die. The effects must stay inside. */
static inline void probe_sweep(void) {
    for (int number = 0; number <= 600; number++) {
        if (number == SYS_kill || number == SYS_tkill || number == SYS_tgkill)
            continue;
        pid_t pid = fork();
        if (pid == 0) {
            alarm(1);
            syscall(number, -1L, -1L, -1L, -1L, -1L, -1L);
            _exit(0);
        }
        for (int i = 0; i < 100 && waitpid(pid, NULL, WNOHANG) == 0; i++) {
            usleep(2000);
            if (i > 20)
                kill(pid, SIGKILL);
        }
    }
}

static inline void probe_namespaces(void) {
    static const unsigned long flags[] = {
        CLONE_NEWUSER, CLONE_NEWNS,  CLONE_NEWPID,   CLONE_NEWNET,
        CLONE_NEWIPC,  CLONE_NEWUTS, CLONE_NEWCGROUP};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        long pid = syscall(SYS_clone, flags[i] | SIGCHLD, 0, 0, 0, 0);
        if (pid == 0)
            _exit(0);
        expect("clone", pid, EPERM);
    }
}

/* Families and protocols: only those that sandbox/filter.c lists. */
static inline bool may_have(int family, int type, int protocol) {
    if (family == AF_UNIX)
        return true;
    if (family == AF_NETLINK)
        return protocol == NETLINK_ROUTE;
    int ping = family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6;
    if (family != AF_INET && family != AF_INET6)
        return false;
    return type == SOCK_STREAM ? protocol == 0 || protocol == IPPROTO_TCP
           : type == SOCK_DGRAM
               ? protocol == 0 || protocol == IPPROTO_UDP || protocol == ping
               : false;
}

static inline int refusal(int family, int type) {
    if (family == AF_NETLINK)
        return EPROTONOSUPPORT;
    if (family == AF_INET || family == AF_INET6)
        return type == SOCK_RAW ? EPERM : EPROTONOSUPPORT;
    return EAFNOSUPPORT;
}

static inline void try_socket(int family, int type, int protocol) {
    char what[64];
    int flags = protocol & 1 ? SOCK_CLOEXEC : SOCK_NONBLOCK;
    snprintf(what, sizeof what, "socket %d %d %d", family, type, protocol);
    if (may_have(family, type, protocol))
        return;
    expect(what, socket(family, type | flags, protocol), refusal(family, type));
    /* The kernel ignores the upper halves. */
    expect(what,
           syscall(SYS_socket, 1L << 32 | family, 1L << 33 | type,
                   1L << 34 | protocol),
           refusal(family, type));
}

static inline void probe_sockets(void) {
    static const int protocols[] = {0,  1,   2,   6,   17,  33,  58,
                                    89, 115, 132, 136, 255, 256, 262};
    int pair[2];
    for (int family = 0; family < 64; family++)
        for (int type = 1; type <= 10; type++)
            for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++)
                try_socket(family, type, protocols[i]);
    for (int family = 0; family < 64; family++)
        for (int type = 1; type <= 10 && family != AF_UNIX; type++)
            expect("socketpair", socketpair(family, type, 0, pair), EOPNOTSUPP);
    for (int protocol = 1; protocol < 32; protocol++)
        try_socket(AF_NETLINK, SOCK_RAW, protocol);
    if (socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE) < 0 ||
        socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP) < 0 ||
        socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0) < 0 ||
        socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0)
        puts("no socket that there should be");
}

/* Leave a flow label, which the kernel keeps for some seconds after the socket
 * was closed. */
static inline void probe_flow(void) {
    struct {
        struct in6_addr to;
        uint32_t label;
        uint8_t action, share;
        uint16_t flags, expires, linger;
        uint32_t unused;
    } request = {.to = IN6ADDR_LOOPBACK_INIT,
                 .label = htonl(0x12345),
                 .share = 1,
                 .flags = 1,
                 .expires = 6,
                 .linger = 6};
    enum { FLOW_LABEL_MANAGER = 32 };
    int fd = socket(AF_INET6, SOCK_DGRAM, 0);
    if (fd >= 0)
        setsockopt(fd, IPPROTO_IPV6, FLOW_LABEL_MANAGER, &request,
                   sizeof request);
}

/* Take as many inotify instances as can be had, as root and as other users. */
static inline void probe_instances(void) {
    int count = 0;
    for (uid_t user = 0; user < 50; user++) {
        while (inotify_init1(0) >= 0)
            count++;
        if (syscall(SYS_setresuid, -1, user + 1000, -1) < 0)
            break;
        while (inotify_init1(0) >= 0)
            count++;
        if (syscall(SYS_setresuid, -1, 0, -1) < 0)
            break;
    }
    printf("%d\n", count);
    fflush(stdout);
    pause();
}

/* Try to take resources of which the whole machine has a fixed number. */
static inline void probe_shared(void) {
    void *context = NULL;
    expect("io_setup", syscall(SYS_io_setup, 1, &context), ENOSYS);
    expect("memfd_secret", syscall(447, 0), ENOSYS);
    expect("huge memfd", memfd_create("huge", MFD_HUGETLB), ENOMEM);
    expect("huge pages",
           (long)mmap(NULL, 1 << 21, PROT_READ,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0),
           ENOMEM);
}

static inline void probe_terminal(void) {
    int terminal = open("/dev/ptmx", O_RDWR);
    char c = 'x';
    if (terminal < 0)
        puts("no terminal");
    expect("TIOCSTI", ioctl(terminal, TIOCSTI, &c), EPERM);
    expect("TIOCLINUX", ioctl(terminal, TIOCLINUX, &c), EPERM);
    expect("TIOCSTI with high bits",
           syscall(SYS_ioctl, terminal, TIOCSTI | 1UL << 32, &c), EPERM);
    expect("TIOCSETD", ioctl(terminal, TIOCSETD, &c), EPERM);
}

#ifdef __x86_64__
static inline void probe_x32(void) {
    syscall(0x40000000 | SYS_getpid);
    puts("x32 is alive");
}

static inline void probe_i386(void) {
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(20L) : "memory");
    printf("i386 is alive: %ld\n", result);
}
#endif

/* Go upwards, out of a chroot, as far as possible. */
static inline void probe_chroot(void) {
    int root = open("/", O_RDONLY | O_DIRECTORY);
    if (mkdir("/tmp/jail", 0755) < 0 || chroot("/tmp/jail") < 0 ||
        fchdir(root) < 0)
        puts("chroot failed");
    for (int i = 0; i < 64; i++)
        if (chdir("..") < 0)
            puts("chdir failed");
    if (chroot(".") < 0)
        puts("second chroot failed");
    DIR *d = opendir("/");
    struct dirent *e;
    while ((e = readdir(d)))
        if (strcmp(e->d_name, "l") == 0 || strcmp(e->d_name, "w") == 0 ||
            strcmp(e->d_name, "var") == 0 || strcmp(e->d_name, "boot") == 0)
            printf("escaped: %s\n", e->d_name);
    if (access("/bin/busybox", F_OK) < 0)
        puts("not at the sandbox's root");
}

static inline void probe_init(void) {
    static const char *const files[] = {
        "/proc/1/mem",     "/proc/1/environ",    "/proc/1/maps",
        "/proc/1/exe",     "/proc/1/root/x",     "/proc/1/cwd/x",
        "/proc/1/fd/3",    "/proc/1/ns/mnt",     "/proc/1/stack",
        "/proc/1/syscall", "/proc/1/map_files/x"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char byte;
        int fd = open(files[i], O_RDONLY);
        if (fd >= 0 && read(fd, &byte, 1) > 0) {
            printf("%s can be read\n", files[i]);
            complaints++;
        }
    }
    expect("kill 1", prctl(PR_SET_DUMPABLE, 7), EINVAL);
    kill(1, SIGKILL);
    kill(1, SIGSTOP);
    kill(1, SIGTERM);
}

/* Return how many bytes of the memory of `pid` can be read. */
static inline long peek(pid_t pid, const void *address) {
    char byte;
    struct iovec here = {&byte, 1}, there = {(void *)address, 1};
    return process_vm_readv(pid, &here, 1, &there, 1, 0);
}

/* A sandbox may trace its own processes, but not init. */
static inline void probe_trace(void) {
    static const char mark = 'm';
    pid_t child = fork();
    if (child == 0)
        pause();
    if (ptrace(PTRACE_ATTACH, child, 0, 0) < 0 ||
        waitpid(child, NULL, 0) != child || peek(child, &mark) != 1 ||
        (char)ptrace(PTRACE_PEEKDATA, child, &mark, 0) != mark ||
        syscall(SYS_kcmp, getpid(), child, 0, 1, 1) < 0 ||
        ptrace(PTRACE_DETACH, child, 0, 0) < 0)
        printf("own child: errno %d\n", errno);
    kill(child, SIGKILL);
    expect("attach", ptrace(PTRACE_ATTACH, 1, 0, 0), EPERM);
    expect("seize", ptrace(PTRACE_SEIZE, 1, 0, 0), EPERM);
    expect("read", peek(1, &mark), EPERM);
    expect("kcmp", syscall(SYS_kcmp, getpid(), 1, 0, 1, 1), EPERM);
}

static inline void say_it_came(int signal) {
    (void)signal;
    puts("it came");
}

/* Our parent, init, must not take a stopped process for one that ended. */
static inline void probe_traced(void) {
    signal(SIGUSR1, say_it_came);
    if (ptrace(PTRACE_TRACEME, 0, 0, 0) < 0)
        puts("no tracing");
    raise(SIGUSR1);
}

/* Set-id bits and file capabilities have no effect. */
static inline void probe_privileges(void) {
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        puts("new privileges");
    if (prctl(PR_GET_SECCOMP) != 2)
        puts("no filter");
    struct __user_cap {
        unsigned version;
        int pid;
    } header = {0x20080522, 0};
    unsigned data[6] = {~0U, ~0U, ~0U, ~0U, ~0U, ~0U};
    expect("capset", syscall(SYS_capset, &header, data), EPERM);
    expect("ambient", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 21, 0, 0),
           EPERM);
}

/* Set the attributes that overlay uses as marks. None may reach the upper
 * directory under a name that overlay would read. */
static inline void probe_overlay(void) {
    static const char *const names[] = {
        "user.overlay.opaque",       "user.overlay.redirect",
        "user.overlay.metacopy",     "user.overlay.origin",
        "trusted.overlay.opaque",    "trusted.overlay.redirect",
        "trusted.overlay.metacopy",  "security.capability",
        "system.posix_acl_nonsense", "security.selinux"};
    if (mkdir("/tmp/o", 0755) < 0)
        puts("no directory");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (setxattr("/tmp/o", names[i], "/../..", 6, 0) == 0)
            printf("# %s\n", names[i]); /* checked outside */
    if (setxattr("/tmp/o", "user.mine", "x", 1, 0) < 0)
        puts("no attribute of our own");
    expect("whiteout", mknod("/tmp/w", S_IFCHR | 0600, 0), EPERM);
}

/* Try to exceed every limit. */
static inline void probe_limits(void) {
    struct sched_param fifo = {.sched_priority = 1};
    static const int resources[] = {RLIMIT_NPROC, RLIMIT_FSIZE};
    expect("SCHED_FIFO", sched_setscheduler(0, SCHED_FIFO, &fifo), EPERM);
    expect("SCHED_RR", sched_setscheduler(0, SCHED_RR, &fifo), EPERM);
    errno = 0;
    expect("nice", setpriority(PRIO_PROCESS, 0, -20), EACCES);
    expect("ioprio", syscall(SYS_ioprio_set, 1, 0, 1 << 13), EPERM);
    for (size_t i = 0; i < sizeof resources / sizeof *resources; i++) {
        struct rlimit now;
        if (getrlimit((__rlimit_resource_t)resources[i], &now) < 0 ||
            now.rlim_max == RLIM_INFINITY)
            continue;
        now.rlim_max++;
        expect("setrlimit", setrlimit((__rlimit_resource_t)resources[i], &now),
               EPERM);
    }
    expect("PR_SET_MM", prctl(PR_SET_MM, PR_SET_MM_START_CODE, 0, 0, 0), EPERM);
    expect("filter off", prctl(PR_SET_SECCOMP, 0, 0, 0, 0), EINVAL);
    expect("privileges", prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0), EINVAL);
}

/* Lock a file of the image in both ways. Print "free" for each success, else
 * "held". */
static inline void probe_lock(void) {
    int fd = open("/bin/probe", O_RDONLY);
    puts(flock(fd, LOCK_EX | LOCK_NB) == 0 ? "free" : "held");
    struct flock range = {.l_type = F_RDLCK};
    puts(fcntl(fd, F_SETLK, &range) == 0 ? "free" : "held");
    fflush(stdout);
    usleep(500000);
}

static inline void *sleep_on(void *arg) {
    pause();
    return arg;
}

/* Threads instead of processes, because they are cheaper. */
static inline void probe_processes(void) {
    pthread_attr_t small;
    pthread_t thread;
    int count = 0;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 65536);
    while (pthread_create(&thread, &small, sleep_on, NULL) == 0)
        count++;
    printf("%d\n", count);
}

static inline int probe(const char *name) {
    static const struct {
        const char *name;
        void (*run)(void);
    } probes[] = {
        {"calls", probe_calls},
        {"sweep", probe_sweep},
        {"sockets", probe_sockets},
        {"shared", probe_shared},
        {"flow", probe_flow},
        {"instances", probe_instances},
        {"terminal", probe_terminal},
        {"chroot", probe_chroot},
        {"init", probe_init},
        {"trace", probe_trace},
        {"traced", probe_traced},
        {"namespaces", probe_namespaces},
        {"privileges", probe_privileges},
        {"overlay", probe_overlay},
        {"limits", probe_limits},
        {"lock", probe_lock},
        {"processes", probe_processes},
#ifdef __x86_64__
        {"x32", probe_x32},
        {"i386", probe_i386},
#endif
    };
    for (size_t i = 0; i < sizeof probes / sizeof *probes; i++)
        if (strcmp(probes[i].name, name) == 0)
            probes[i].run();
    printf("done\n");
    return complaints > 0;
}

#endif
