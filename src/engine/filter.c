/* filter.c: see filter.h. */
#define _GNU_SOURCE
#include "filter.h"
#include <errno.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* mseal, Linux 6.10. Numbers above are the same on all machines, and nobody
 * has looked at what they do. */
enum { LAST_KNOWN_CALL = 462 };

static const char *const forbidden[] = {
    /* mounts */
    "mount",
    "umount",
    "umount2",
    "pivot_root",
    "open_tree",
    "move_mount",
    "fsopen",
    "fsconfig",
    "fsmount",
    "fspick",
    "mount_setattr",
    /* Namespaces and other processes. Not ptrace, process_vm_* and kcmp, which
     * debuggers and sanitizers need: they reach what /proc/PID/mem reaches,
     * processes of the same user in the sandbox and never its init. What they
     * make a process do goes through this filter (Linux 4.8). */
    "unshare",
    "setns",
    "process_madvise",
    "pidfd_getfd",
    /* the kernel's own machinery */
    "bpf",
    "perf_event_open",
    "userfaultfd",
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    "keyctl",
    "add_key",
    "request_key",
    "fanotify_init",
    "lookup_dcookie",
    "syslog",
    "init_module",
    "finit_module",
    "delete_module",
    "create_module",
    "query_module",
    "get_kernel_syms",
    "kexec_load",
    "kexec_file_load",
    "nfsservctl",
    "_sysctl",
    "sysfs",
    "ustat",
    "uselib",
    "acct",
    "quotactl",
    "quotactl_fd",
    "swapon",
    "swapoff",
    "reboot",
    "vhangup",
    "sethostname",
    "setdomainname",
    /* files by handle, round the mount namespace */
    "open_by_handle_at",
    "name_to_handle_at",
    /* the machine: clock, ports, memory placement */
    "settimeofday",
    "clock_settime",
    "clock_adjtime",
    "adjtimex",
    "stime",
    "iopl",
    "ioperm",
    "modify_ldt",
    "vm86",
    "vm86old",
    "mbind",
    "set_mempolicy",
    "set_mempolicy_home_node",
    "migrate_pages",
    "move_pages",
};

static int forbid(scmp_filter_ctx c, const char *name, int error) {
    int number = seccomp_syscall_resolve_name(name);
    if (number < 0) /* this machine never had it */
        return 0;
    return seccomp_rule_add(c, SCMP_ACT_ERRNO(error), number, 0);
}

static int forbid_calls(scmp_filter_ctx c) {
    int rc = 0;
    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++)
        if (rc == 0)
            rc = forbid(c, forbidden[i], EPERM);
    return rc == 0 ? forbid(c, "clone3", ENOSYS) : rc;
}

static int forbid_new_namespaces(scmp_filter_ctx c) {
    static const uint64_t flags[] = {
        CLONE_NEWUSER, CLONE_NEWNS,  CLONE_NEWPID,    CLONE_NEWNET,
        CLONE_NEWIPC,  CLONE_NEWUTS, CLONE_NEWCGROUP,
    };
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof flags / sizeof *flags; i++)
        rc = seccomp_rule_add(c, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                              SCMP_A0(SCMP_CMP_MASKED_EQ, flags[i], flags[i]));
    return rc;
}

/* Unix, IPv4, IPv6 and, for the list of interfaces, route netlink; no vsock,
 * which reaches the host of a virtual machine, and no rare protocols. */
static int forbid_sockets(scmp_filter_ctx c) {
    const uint32_t refuse = SCMP_ACT_ERRNO(EAFNOSUPPORT);
    int rc = seccomp_rule_add(c, refuse, SCMP_SYS(socket), 1,
                              SCMP_A0(SCMP_CMP_GT, AF_NETLINK));
    for (int family = AF_INET + 1; rc == 0 && family < AF_NETLINK; family++)
        if (family != AF_INET6)
            rc = seccomp_rule_add(c, refuse, SCMP_SYS(socket), 1,
                                  SCMP_A0(SCMP_CMP_EQ, family));
    if (rc == 0)
        rc = seccomp_rule_add(c, SCMP_ACT_ERRNO(EPROTONOSUPPORT),
                              SCMP_SYS(socket), 2,
                              SCMP_A0(SCMP_CMP_EQ, AF_NETLINK),
                              SCMP_A2(SCMP_CMP_NE, NETLINK_ROUTE));
    return rc;
}

/* Typing into a terminal, and line disciplines that load modules. The kernel
 * looks at 32 bits of the request only, so must we. */
static int forbid_terminal_tricks(scmp_filter_ctx c) {
    static const uint64_t requests[] = {TIOCSTI, TIOCLINUX, TIOCSETD};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof requests / sizeof *requests; i++)
        rc = seccomp_rule_add(
            c, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1,
            SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffffU, requests[i]));
    return rc;
}

/* Changing the size of core dumps seems to work and does nothing: at any other
 * size than init's the host's core dump handler would be run. */
static int keep_core_limit(scmp_filter_ctx c) {
    int rc =
        seccomp_rule_add(c, SCMP_ACT_ERRNO(0), SCMP_SYS(setrlimit), 1,
                         SCMP_A0(SCMP_CMP_MASKED_EQ, 0xffffffffU, RLIMIT_CORE));
    if (rc < 0)
        return rc;
    return seccomp_rule_add(
        c, SCMP_ACT_ERRNO(0), SCMP_SYS(prlimit64), 2,
        SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffffU, RLIMIT_CORE),
        SCMP_A2(SCMP_CMP_NE, 0));
}

static int write_newer_calls(int fd) {
    static const struct sock_filter start[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, LAST_KNOWN_CALL, 0, 2),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
    };
    return write_all(fd, start, sizeof start);
}

static int build(scmp_filter_ctx c) {
    int rc =
        seccomp_attr_set(c, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    /* A binary tree: the kernel walks the filter once for each system call
     * when it is installed, which is what a sandbox waits for. */
    if (rc == 0)
        rc = seccomp_attr_set(c, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (rc == 0)
        rc = forbid_calls(c);
    if (rc == 0)
        rc = forbid_new_namespaces(c);
    if (rc == 0)
        rc = forbid_sockets(c);
    if (rc == 0)
        rc = forbid_terminal_tricks(c);
    return rc == 0 ? keep_core_limit(c) : rc;
}

int filter_compile(struct fault *f) {
    int fd CLEANUP(cleanup_close) = memfd_create("seccomp", MFD_CLOEXEC);
    if (fd < 0)
        return fault_errno(f, "cannot make a memfd");
    scmp_filter_ctx c = seccomp_init(SCMP_ACT_ALLOW);
    if (!c)
        return fault_set(f, 500, "cannot make a system call filter");
    int rc = build(c);
    if (rc == 0 && write_newer_calls(fd) < 0)
        rc = -errno;
    if (rc == 0)
        rc = seccomp_export_bpf(c, fd);
    seccomp_release(c);
    if (rc < 0) {
        errno = -rc;
        return fault_errno(f, "cannot compile the system call filter");
    }
    return steal_fd(&fd);
}
