/* faulty.c: runs a program and fails chosen system calls of it and of all its
 * children: `faulty SOCKET PROGRAM [ARGUMENT...]`.
 *
 * The kernel asks a supervisor about each call (seccomp_unotify(2)), so this
 * works across execve, for static programs and for sandboxes, and ptrace stays
 * free. The program keeps faulty's process id; the supervisor is not its child,
 * and ends with the last process that it watches.
 *
 * A call is named by its place: "KIND SYSCALL SITE". KIND is engine (its loop),
 * worker (its other threads), child (a process that it forked), init, airlock,
 * or client (a program that has loaded the Lua module). SITE is the first two
 * return addresses on the stack in our own program or library, as file offsets
 * in hexadecimal. Calls of other programs are not looked at.
 *
 * On the Unix socket SOCKET, which takes one connection, a line each:
 *   count                      "KIND SYSCALL SITE NUMBER" for each place since
 *                              the last count, then "."
 *   arm KIND SYSCALL SITE ERRNO NTH TIMES
 *                              fail the NTH call of a place (from 1), and TIMES
 *                              in all; "-" is any; "ok"
 *   disarm                     how many calls were failed
 * With TIMES -1, each call whose number NTH divides fails.
 * CONTREE_FAULTY is what is armed from the start: arguments of "arm". */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

/* The calls that can fail. timerfd_settime is not among them, as it fails for
 * wrong arguments alone. close and munmap are not among them: a failure has
 * an effect all the same, which cannot be shown from here. brk tells of a
 * failure in a way of its own. */
static const char *const watched[] = {
    "accept4",
    "bind",

    "chdir",
    "chmod",
    "chown",
    "chroot",
    "clone",
    "clone3",
    "connect",
    "copy_file_range",
    "dup",
    "dup2",
    "dup3",
    "epoll_create1",
    "epoll_ctl",
    "epoll_pwait",
    "epoll_wait",
    "eventfd2",
    "execve",
    "execveat",
    "fallocate",
    "fchdir",
    "fchmod",
    "fchmodat",
    "fchown",
    "fchownat",
    "fcntl",
    "fdatasync",
    "fgetxattr",
    "flistxattr",
    "flock",
    "fork",
    "fsconfig",
    "fsetxattr",
    "fsmount",
    "fsopen",
    "fstat",
    "fstatfs",
    "fsync",
    "ftruncate",
    "getdents64",
    "getrandom",
    "getsockopt",
    "inotify_add_watch",
    "inotify_init1",
    "ioctl",
    "keyctl",
    "kill",
    "lgetxattr",
    "link",
    "linkat",
    "listen",
    "lseek",
    "lsetxattr",
    "madvise",
    "memfd_create",
    "mkdir",
    "mkdirat",
    "mknodat",
    "mmap",
    "mount",
    "mount_setattr",
    "move_mount",
    "mprotect",
    "mremap",
    "newfstatat",
    "open",
    "openat",
    "openat2",
    "open_tree",
    "pidfd_open",
    "pidfd_send_signal",
    "pipe2",
    "pivot_root",
    "poll",
    "ppoll",
    "prctl",
    "pread64",
    "preadv",
    "prlimit64",
    "pwrite64",
    "pwritev",
    "read",
    "readlink",
    "readlinkat",
    "readv",
    "recvfrom",
    "recvmsg",
    "rename",
    "renameat",
    "renameat2",
    "rmdir",
    "sched_setaffinity",
    "sendfile",
    "sendmsg",
    "sendto",
    "setgid",
    "setgroups",
    "sethostname",
    "setns",
    "setpriority",
    "setresgid",
    "setresuid",
    "setrlimit",
    "setsid",
    "setsockopt",
    "setuid",
    "shutdown",
    "signalfd4",
    "socket",
    "socketpair",
    "splice",
    "statfs",
    "statx",
    "symlinkat",
    "sync_file_range",
    "syncfs",
    "timerfd_create",
    "umount2",
    "unlink",
    "unlinkat",
    "unshare",
    "utimensat",
    "vfork",
    "wait4",
    "waitid",
    "write",
    "writev",
};
enum { WATCHED = sizeof watched / sizeof *watched, CALLS = 1024 };

static const char *names[CALLS]; /* of the watched calls, by number */

struct place {
    char kind[12];
    int call;
    uint64_t at[2];
    long count;
};
static struct place places[8192];
static size_t place_count;

/* What is to fail. */
static struct {
    bool any_site;
    struct place place;
    char kind[12];
    int call, error, nth, times;
    long seen, fired;
} armed = {.call = -1};

static pid_t program;
static int notify = -1;

/* ---- who calls, and from where ---- */

/* The text of our own program or library in a process. */
struct text {
    pid_t process;
    char exe[64], kind[12];
    uint64_t begin, end, offset;
};
static struct text texts[256];

static pid_t process_of(pid_t thread) {
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%d/status", thread);
    FILE *f = fopen(path, "re");
    pid_t process = thread;
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "Tgid: %d", &process) == 1)
            break;
    if (f)
        fclose(f);
    return process;
}

static bool find_text(pid_t thread, const char *file, struct text *t) {
    char path[64], line[512], mode[8];
    unsigned long long begin, end, offset;
    snprintf(path, sizeof path, "/proc/%d/maps", thread);
    FILE *f = fopen(path, "re");
    bool found = false;
    while (f && !found && fgets(line, sizeof line, f)) {
        const char *slash = strrchr(line, '/');
        found = slash && strstr(line, file) &&
                sscanf(line, "%llx-%llx %7s %llx", &begin, &end, mode,
                       &offset) == 4 &&
                mode[2] == 'x';
    }
    if (f)
        fclose(f);
    if (found) {
        t->begin = begin;
        t->end = end;
        t->offset = offset;
    }
    return found;
}

static const char *kind_of(const char *exe) {
    static const struct {
        const char *part, *kind;
    } kinds[] = {{"contree-engine", "engine"},
                 {"contree-init", "init"},
                 {"contree-airlock", "airlock"},
                 {"/lua", "client"},
                 {"nvim", "client"}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strstr(exe, kinds[i].part))
            return kinds[i].kind;
    return NULL;
}

/* The text of the process of a thread; NULL: none of ours. */
static const struct text *text_of(pid_t thread) {
    char path[64], exe[64] = "";
    snprintf(path, sizeof path, "/proc/%d/exe", thread);
    ssize_t n = readlink(path, exe, sizeof exe - 1);
    const char *kind = n > 0 ? kind_of(exe) : NULL;
    if (!kind)
        return NULL;
    pid_t process = process_of(thread);
    struct text *t = &texts[(unsigned)process % 256];
    if (t->process == process && strcmp(t->exe, exe) == 0)
        return t;
    struct text found = {.process = process};
    const char *file = strcmp(kind, "client") == 0   ? "core.so"
                       : strcmp(kind, "engine") == 0 ? "contree-engine"
                       : strcmp(kind, "init") == 0   ? "contree-init"
                                                     : "contree-airlock";
    if (!find_text(thread, file, &found))
        return NULL;
    snprintf(found.exe, sizeof found.exe, "%s", exe);
    snprintf(found.kind, sizeof found.kind, "%s", kind);
    *t = found;
    return t;
}

/* Whether a call instruction ends before this address. */
static bool returns_to(int memory, uint64_t address) {
    unsigned char code[7];
    if (pread(memory, code, sizeof code, (off_t)(address - 7)) != 7)
        return false;
    if (code[2] == 0xe8)
        return true;
    for (int length = 2; length <= 7; length++) {
        const unsigned char *at = code + 7 - length;
        if (at[0] == 0xff && (at[1] & 0x38) == 0x10)
            return true;
    }
    return false;
}

/* A simple unwinding: the words of the stack that are return addresses. */
static void find_site(pid_t thread, const struct text *t, uint64_t at[2]) {
    char path[64], line[512];
    uint64_t stack[2048];
    at[0] = at[1] = 0;
    snprintf(path, sizeof path, "/proc/%d/syscall", thread);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, line, sizeof line - 1);
    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return;
    line[n] = 0;
    unsigned long long sp = 0;
    char *last = strrchr(line, ' ');
    if (last)
        *last = 0;
    last = strrchr(line, ' ');
    if (!last || sscanf(last, "%llx", &sp) != 1 || sp % 8)
        return;
    snprintf(path, sizeof path, "/proc/%d/mem", thread);
    int memory = open(path, O_RDONLY | O_CLOEXEC);
    if (memory < 0)
        return;
    n = pread(memory, stack, sizeof stack, (off_t)sp);
    if (n < 0) { /* near the end of the stack */
        size_t left = 4096 - sp % 4096;
        n = pread(memory, stack, left, (off_t)sp);
    }
    int found = 0;
    for (ssize_t i = 0; i < n / 8 && found < 2; i++)
        if (stack[i] >= t->begin + 7 && stack[i] < t->end &&
            returns_to(memory, stack[i]))
            at[found++] = stack[i] - t->begin + t->offset;
    close(memory);
}

static bool same_place(const struct place *a, const struct place *b) {
    return a->call == b->call && a->at[0] == b->at[0] && a->at[1] == b->at[1] &&
           strcmp(a->kind, b->kind) == 0;
}

static void count_place(const struct place *p) {
    for (size_t i = 0; i < place_count; i++)
        if (same_place(&places[i], p)) {
            places[i].count++;
            return;
        }
    if (place_count < sizeof places / sizeof *places) {
        places[place_count] = *p;
        places[place_count++].count = 1;
    }
}

/* ---- what is asked ---- */

static bool is_armed(const struct place *p) {
    if (armed.call < 0 || armed.times == 0)
        return false;
    if (p->call != armed.call ||
        (strcmp(armed.kind, "-") != 0 && strcmp(p->kind, armed.kind) != 0))
        return false;
    return armed.any_site ||
           (p->at[0] == armed.place.at[0] && p->at[1] == armed.place.at[1]);
}

static int arm(const char *text) {
    char kind[12], call[32], site[64];
    int error, nth, times;
    unsigned long long a = 0, b = 0;
    if (sscanf(text, "%11s %31s %63s %d %d %d", kind, call, site, &error, &nth,
               &times) != 6)
        return -1;
    armed.call = -1;
    for (int i = 0; i < CALLS; i++)
        if (names[i] && strcmp(names[i], call) == 0)
            armed.call = i;
    armed.any_site = strcmp(site, "-") == 0;
    if (!armed.any_site && sscanf(site, "%llx,%llx", &a, &b) != 2)
        armed.call = -1;
    snprintf(armed.kind, sizeof armed.kind, "%s", kind);
    armed.place.at[0] = a;
    armed.place.at[1] = b;
    armed.error = error;
    armed.nth = nth;
    armed.times = times;
    armed.seen = armed.fired = 0;
    return armed.call < 0 ? -1 : 0;
}

/* libuv watches the engine's directory by inotify, and aborts when that cannot
 * be read. (Init reads its own by itself.) */
static bool is_watch_of_libuv(const struct seccomp_notif *n) {
    char path[64], text[64] = "";
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)n->pid,
             (int)n->data.args[0]);
    if (readlink(path, text, sizeof text - 1) < 0 ||
        strcmp(text, "anon_inode:inotify") != 0)
        return false;
    memset(text, 0, sizeof text);
    snprintf(path, sizeof path, "/proc/%d/comm", (int)n->pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool engine = fd >= 0 && read(fd, text, sizeof text - 1) > 0 &&
                  strcmp(text, "contree-engine\n") == 0;
    if (fd >= 0)
        close(fd);
    return engine;
}

/* Whether this call can fail at all, and the library that makes it lets the
 * program live. */
static bool can_fail(const struct seccomp_notif *n) {
    const __u64 *a = n->data.args;
    if (n->data.nr == SYS_fcntl)
        return a[1] == F_DUPFD || a[1] == F_DUPFD_CLOEXEC;
    if (n->data.nr == SYS_read)
        return !is_watch_of_libuv(n);
    if (n->data.nr != SYS_epoll_ctl)
        return true;
    if (a[1] != EPOLL_CTL_ADD)
        return false;
    /* libuv tries a descriptor first, and returns the error. Where it adds the
     * descriptor in earnest, it aborts. */
    struct epoll_event e;
    struct iovec here = {&e, sizeof e},
                 there = {(void *)(uintptr_t)a[3], sizeof e};
    return process_vm_readv((pid_t)n->pid, &here, 1, &there, 1, 0) ==
               (ssize_t)sizeof e &&
           (uint32_t)e.data.fd != (uint32_t)a[2];
}

/* The flags with which a descriptor of a process is open; if it is not, these.
 */
static unsigned flags_of(pid_t process, int fd, unsigned flags) {
    char path[64], line[128];
    snprintf(path, sizeof path, "/proc/%d/fdinfo/%d", process, fd);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "flags: %o", &flags) == 1)
            break;
    if (f)
        fclose(f);
    return flags;
}

/* Whether a call on this descriptor would wait. */
static bool would_wait(const struct seccomp_notif *n) {
    return !(flags_of((pid_t)n->pid, (int)n->data.args[0], 0) & O_NONBLOCK);
}

static bool reads(pid_t process, int fd) {
    return (flags_of(process, fd, O_WRONLY) & O_ACCMODE) != O_WRONLY;
}

/* Whether a process has the end from which a pipe is read, as libuv has that of
 * the pipe by which a signal wakes it. */
static bool reads_pipe(pid_t process, const char *pipe) {
    char path[64], what[64];
    snprintf(path, sizeof path, "/proc/%d/fd", process);
    DIR *list = opendir(path);
    bool found = false;
    for (struct dirent *e; list && !found && (e = readdir(list));) {
        ssize_t n = readlinkat(dirfd(list), e->d_name, what, sizeof what - 1);
        what[n > 0 ? n : 0] = 0;
        found = strcmp(what, pipe) == 0 && reads(process, atoi(e->d_name));
    }
    if (list)
        closedir(list);
    return found;
}

/* Whether this call can give this error: pipes know no errors of disks, and
 * EAGAIN comes where a call would have to wait and must not. */
static bool can_give(const struct seccomp_notif *n, int error) {
    char path[64], what[64] = "";
    long nr = n->data.nr;
    if (error == EAGAIN && (nr == SYS_recvmsg || nr == SYS_sendmsg) &&
        !(n->data.args[2] & MSG_DONTWAIT) && would_wait(n))
        return false;
    if (error == EAGAIN && (nr == SYS_read || nr == SYS_accept4) &&
        would_wait(n))
        return false;
    if (nr != SYS_read && nr != SYS_write && nr != SYS_readv &&
        nr != SYS_writev)
        return true;
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)n->pid,
             (int)n->data.args[0]);
    if (readlink(path, what, sizeof what - 1) < 0)
        return true;
    if (strstr(what, "[eventfd]"))
        return false;
    if (strncmp(what, "pipe:", 5) != 0 && strncmp(what, "socket:", 7) != 0)
        return error != EPIPE && error != EAGAIN;
    if (error == EPIPE && strncmp(what, "pipe:", 5) == 0)
        return !reads_pipe(process_of((pid_t)n->pid), what);
    return error == EINTR || error == EAGAIN || error == EPIPE ||
           error == ECONNRESET;
}

/* The error for a call, or 0. */
static int judge(const struct seccomp_notif *n) {
    pid_t thread = (pid_t)n->pid;
    const struct text *t = text_of(thread);
    struct place p = {.call = n->data.nr};
    if (!t || !can_fail(n))
        return 0;
    if (strcmp(t->kind, "engine") != 0)
        snprintf(p.kind, sizeof p.kind, "%s", t->kind);
    else
        snprintf(p.kind, sizeof p.kind, "%s",
                 t->process != program ? "child"
                 : thread == program   ? "engine"
                                       : "worker");
    find_site(thread, t, p.at);
    count_place(&p);
    if (!is_armed(&p) || !can_give(n, armed.error) ||
        ++armed.seen < armed.nth ||
        (armed.times < 0 && armed.seen % armed.nth != 0))
        return 0;
    if (armed.times > 0)
        armed.times--;
    armed.fired++;
    return armed.error;
}

static void answer_call(void) {
    struct seccomp_notif n;
    memset(&n, 0, sizeof n);
    if (ioctl(notify, SECCOMP_IOCTL_NOTIF_RECV, &n) < 0)
        return;
    int error = judge(&n);
    struct seccomp_notif_resp r = {.id = n.id, .error = -error};
    if (!error)
        r.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    ioctl(notify, SECCOMP_IOCTL_NOTIF_SEND, &r);
}

static void tell_counts(FILE *out) {
    for (size_t i = 0; i < place_count; i++) {
        const struct place *p = &places[i];
        fprintf(out, "%s %s %llx,%llx %ld\n", p->kind, names[p->call],
                (unsigned long long)p->at[0], (unsigned long long)p->at[1],
                p->count);
    }
    place_count = 0;
    fputs(".\n", out);
}

static void obey(const char *line, FILE *out) {
    if (strncmp(line, "count", 5) == 0)
        tell_counts(out);
    else if (strncmp(line, "arm ", 4) == 0)
        fputs(arm(line + 4) == 0 ? "ok\n" : "bad\n", out);
    else if (strncmp(line, "disarm", 6) == 0) {
        fprintf(out, "%ld\n", armed.fired);
        armed.call = -1;
    } else
        fputs("bad\n", out);
    fflush(out);
}

static void supervise(int listener) {
    FILE *peer = NULL;
    struct pollfd p[3] = {{.fd = notify, .events = POLLIN},
                          {.fd = listener, .events = POLLIN},
                          {.fd = -1, .events = POLLIN}};
    char line[256];
    for (;;) {
        if (poll(p, 3, -1) < 0 && errno != EINTR)
            return;
        if (p[0].revents & POLLIN)
            answer_call();
        else if (p[0].revents & (POLLHUP | POLLERR))
            return;
        if (p[1].revents) {
            if (peer)
                fclose(peer);
            p[2].fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
            peer = p[2].fd < 0 ? NULL : fdopen(p[2].fd, "r+");
            if (peer)
                setvbuf(peer, NULL, _IOFBF, 1 << 20);
        } else if (p[2].revents && peer) {
            ssize_t n = recv(p[2].fd, line, sizeof line - 1, 0);
            if (n <= 0) {
                fclose(peer);
                peer = NULL;
                p[2].fd = -1;
                continue;
            }
            line[n] = 0;
            obey(line, peer);
        }
    }
}

/* ---- the start ---- */

static int listen_at(const char *path) {
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    unlink(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) < 0 ||
        listen(fd, 4) < 0)
        return -1;
    return fd;
}

static int install(void) {
    struct sock_filter code[WATCHED + 8];
    unsigned short n = 0;
    code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 4);
    code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
                                             seccomp_arch_native(), 1, 0);
    code[n++] =
        (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0);
    unsigned short first = n, calls = 0;
    for (int i = 0; i < CALLS; i++)
        if (names[i]) {
            code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
                                                     (unsigned)i, 0, 0);
            calls++;
        }
    for (unsigned short i = first; i < n; i++)
        code[i].jt = (unsigned char)(first + calls - i);
    code[n++] =
        (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    code[n++] =
        (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
    struct sock_fprog filter = {.len = n, .filter = code};
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                        SECCOMP_FILTER_FLAG_NEW_LISTENER |
                            SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
                        &filter);
}

static void number_calls(void) {
    for (size_t i = 0; i < WATCHED; i++) {
        int number = seccomp_syscall_resolve_name(watched[i]);
        if (number >= 0 && number < CALLS)
            names[number] = watched[i];
    }
}

/* The supervisor: a grandchild that shares the descriptors until the program
 * is executed, so that it gets the one of the filter. */
static int run_supervisor(void *arg) {
    volatile int *shared = arg;
    static char stack[1 << 20] __attribute__((aligned(16)));
    static bool again;
    if (!again) {
        again = true;
        setsid();
        _exit(clone(run_supervisor, stack + sizeof stack, CLONE_FILES, arg) <
              0);
    }
    while (*shared == -1)
        sched_yield();
    notify = *shared;
    if (notify < 0)
        _exit(1);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    supervise(shared[1]);
    _exit(0);
}

int main(int argc, char **argv) {
    static char stack[1 << 20] __attribute__((aligned(16)));
    if (argc < 3) {
        fputs("usage: faulty SOCKET PROGRAM [ARGUMENT...]\n", stderr);
        return 2;
    }
    number_calls();
    const char *first = getenv("CONTREE_FAULTY");
    if (first && arm(first) < 0) {
        fputs("faulty: CONTREE_FAULTY is malformed\n", stderr);
        return 2;
    }
    unsetenv("CONTREE_FAULTY");
    program = getpid();
    volatile int *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                                MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED || (shared[1] = listen_at(argv[1])) < 0) {
        perror("faulty");
        return 2;
    }
    shared[0] = -1;
    /* The same addresses in each process. */
    personality(ADDR_NO_RANDOMIZE);
    pid_t child = clone(run_supervisor, stack + sizeof stack,
                        CLONE_FILES | SIGCHLD, (void *)shared);
    if (child < 0 || waitpid(child, NULL, 0) < 0) {
        perror("faulty");
        return 2;
    }
    prctl(PR_SET_DUMPABLE, 1);
    int fd = install();
    shared[0] = fd < 0 ? -2 : fd;
    if (fd < 0) {
        perror("faulty: seccomp");
        return 2;
    }
    execvp(argv[2], argv + 2);
    perror(argv[2]);
    return 127;
}
