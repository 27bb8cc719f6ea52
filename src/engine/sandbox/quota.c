/* quota.c: a process of the parent namespace must map the ids of a namespace.
 * So there is a process in each: the engine, a child in the outer one, and its
 * child in the inner one, which ends when the engine has opened that. */
#define _GNU_SOURCE
#include "sandbox/quota.h"
#include "base/descriptor.h"
#include "base/fd.h"
#include "init/walls.h"
#include "sandbox/userns.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const counted[] = {COUNTED_FOR_USERS};
/* The limits of the whole machine. Each namespace has its own limits, which are
 * very high at first, whatever the limits above it are. */
static const char *const topmost[COUNTED] = {
    "/proc/sys/fs/inotify/max_user_instances",
    "/proc/sys/fs/inotify/max_user_watches"};
enum { MAP_SIZE = 4096 };

struct quota {
    char users[MAP_SIZE], groups[MAP_SIZE]; /* maps: each id to itself */
    long all[COUNTED];                      /* our limits; 0: unknown */
    int report[2];                          /* the inner process's pid */
    int hold[2];                            /* a byte: it may end */
    int fd;                                 /* the inner namespace */
    uint32_t ids;                           /* of a sandbox */
};

/* Runs in a new namespace, or beside it; 0 or an errno. */
typedef int action(struct quota *q);

/* The children call only functions that are safe after fork() in a process of
 * many threads. */
static long read_number(const char *path) {
    char text[32] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    if (read(fd, text, sizeof text - 1) < 0)
        text[0] = '\0';
    close_fd(fd);
    return strtol(text, NULL, 10);
}

static void name_counted(int i, char path[64]) {
    snprintf(path, 64, "/proc/sys/user/%s", counted[i]);
}

/* Best effort: if it is forbidden, only the user's own limits hold. */
static void set_counted(const struct quota *q, long share) {
    for (int i = 0; i < COUNTED; i++) {
        char path[64], text[32];
        name_counted(i, path);
        snprintf(text, sizeof text, "%ld", q->all[i] / share);
        if (q->all[i] >= share && write_to_file(path, text) < 0)
            errno = 0;
    }
}

/* The kernel limits a new namespace to what its maker may have. */
static void halve_limits(void) {
    static const int resources[] = {RLIMIT_NPROC, RLIMIT_SIGPENDING,
                                    RLIMIT_MSGQUEUE, RLIMIT_MEMLOCK};
    enum { FEW = 64 };
    for (size_t i = 0; i < sizeof resources / sizeof *resources; i++) {
        struct rlimit l;
        if (getrlimit((__rlimit_resource_t)resources[i], &l) < 0 ||
            l.rlim_cur == RLIM_INFINITY || l.rlim_cur < 2 * (rlim_t)FEW)
            continue;
        l.rlim_cur /= 2;
        setrlimit((__rlimit_resource_t)resources[i], &l);
    }
}

static int map_ids(const struct quota *q, pid_t pid) {
    char path[32];
    snprintf(path, sizeof path, "/proc/%d/uid_map", pid);
    if (write_to_file(path, q->users) < 0)
        return -1;
    snprintf(path, sizeof path, "/proc/%d/gid_map", pid);
    return write_to_file(path, q->groups);
}

/* Enters a new user namespace, and calls `inside` when its ids are mapped. */
_Noreturn static void enter(struct quota *q, int ready, int go,
                            action *inside) {
    char byte;
    leave_chroot();
    if (unshare(CLONE_NEWUSER) < 0)
        _exit(errno);
    /* Else the process that maps could not write to our /proc/PID. */
    if (prctl(PR_SET_DUMPABLE, 1) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ||
        write_all(ready, "", 1) < 0 || read_all(go, &byte, 1) != 1)
        _exit(EPIPE);
    _exit(inside(q));
}

/* Calls `inside` in a child that enters a new namespace, `beside` here. */
static int in_namespace(struct quota *q, action *inside, action *beside) {
    int ready[2] = {-1, -1}, go[2] = {-1, -1}, status = 0, rc = EPIPE;
    char byte;
    if (pipe2(ready, O_CLOEXEC) < 0 || pipe2(go, O_CLOEXEC) < 0)
        rc = errno;
    pid_t pid = go[1] < 0 ? -1 : fork();
    if (pid == 0) {
        close_fd(ready[0]);
        close_fd(go[1]);
        enter(q, ready[1], go[0], inside);
    }
    drop_fd(&ready[1]);
    drop_fd(&go[0]);
    if (pid > 0 && read_all(ready[0], &byte, 1) == 1)
        rc = map_ids(q, pid) < 0            ? errno
             : write_all(go[1], "", 1) == 0 ? beside(q)
                                            : EPIPE;
    drop_fd(&ready[0]);
    drop_fd(&go[1]);
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) : rc;
}

static int do_nothing(struct quota *q) {
    (void)q;
    return 0;
}

static int inner(struct quota *q) {
    pid_t pid = getpid();
    char byte;
    /* With one id all sandboxes have one owner: see init/forkserver.c. */
    set_counted(q, q->ids > 1 ? 4 : 2);
    if (write_all(q->report[1], &pid, sizeof pid) < 0)
        return EPIPE;
    return read_all(q->hold[0], &byte, 1) == 1 ? 0 : EPIPE;
}

static int outer(struct quota *q) {
    set_counted(q, 2);
    halve_limits();
    return in_namespace(q, inner, do_nothing);
}

static int open_inner(struct quota *q) {
    pid_t pid;
    char path[32];
    if (read_all(q->report[0], &pid, sizeof pid) != sizeof pid)
        return EPIPE;
    snprintf(path, sizeof path, "/proc/%d/ns/user", pid);
    q->fd = open(path, O_RDONLY | O_CLOEXEC);
    return q->fd < 0 ? errno : 0;
}

/* Opens the inner namespace. However that goes, its process may end then: the
 * engine waits for it. */
static int take(struct quota *q) {
    drop_fd(&q->report[1]);
    int rc = open_inner(q);
    return write_all(q->hold[1], "", 1) == 0 ? rc : EPIPE;
}

/* Our own map, but with each id mapped to itself. */
static void read_map(const char *path, char map[MAP_SIZE]) {
    unsigned inside, count;
    int used = 0;
    FILE *file = fopen(path, "re");
    while (file && used < MAP_SIZE - 40 &&
           fscanf(file, "%u %*u %u", &inside, &count) == 2)
        used += snprintf(map + used, MAP_SIZE - used, "%u %u %u\n", inside,
                         inside, count);
    if (file)
        fclose(file);
}

static int explain(int error, struct fault *f) {
    if (error == ENOSPC)
        return fault_set(f, 503,
                         "no more user namespaces are allowed. Fix: sudo "
                         "sysctl -w user.max_user_namespaces=15000");
    errno = error;
    return fault_errno(f, "cannot make a user namespace for the limits of all "
                          "sandboxes");
}

int quota_open(uint32_t ids, int *fd, struct fault *f) {
    struct quota q = {
        .ids = ids, .report = {-1, -1}, .hold = {-1, -1}, .fd = -1};
    read_map("/proc/self/uid_map", q.users);
    read_map("/proc/self/gid_map", q.groups);
    for (int i = 0; i < COUNTED; i++) {
        char path[64];
        name_counted(i, path);
        long own = read_number(path), top = read_number(topmost[i]);
        q.all[i] = top > 0 && top < own ? top : own;
    }
    int error = pipe2(q.report, O_CLOEXEC) < 0 || pipe2(q.hold, O_CLOEXEC) < 0
                    ? errno
                    : in_namespace(&q, outer, take);
    for (int i = 0; i < 2; i++) {
        drop_fd(&q.report[i]);
        drop_fd(&q.hold[i]);
    }
    if (error)
        drop_fd(&q.fd);
    *fd = q.fd;
    return error == 0 || error == EPERM ? 0 : explain(error, f);
}
