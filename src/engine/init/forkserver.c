/* forkserver.c: makes cells, one for each byte it is sent. Small, single-
 * threaded and without secrets, so that copying it is cheap and harmless. */
#define _GNU_SOURCE
#include "init.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct forkserver {
    unsigned id_base, id_count;
    struct cell_limits limits;
};

static int report(struct cell_report *r, const int *fds, int count) {
    return packet_send(FORKSERVER_SOCKET, r, sizeof *r, fds, count);
}

static int report_failure(const struct failure *f) {
    struct cell_report r = {.type = CELL_FAULT, .status = f->status};
    snprintf(r.message, sizeof r.message, "%s", f->message);
    return report(&r, NULL, 0);
}

static int write_map(pid_t pid, const char *name, const struct forkserver *s,
                     struct failure *f) {
    char path[64], line[64];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    int length =
        snprintf(line, sizeof line, "0 %u %u\n", s->id_base, s->id_count);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return fail_errno(f, "cannot open %s", path);
    int rc = 0;
    if (write(fd, line, length) != length)
        rc = fail_errno(f, "cannot write the sandbox's %s", name);
    close(fd);
    return rc;
}

/* The cell's side of clone3: from here on PID 1 of its own namespaces. The
 * first packet says that its ids are mapped. */
_Noreturn static void run_cell(const struct forkserver *s, int control) {
    struct failure f = {0};
    char byte;
    /* The socket to the engine and the engine's end are not for us. */
    if (dup3(control, FORKSERVER_SOCKET, O_CLOEXEC) < 0 ||
        close_range(FORKSERVER_SOCKET + 1, ~0U, 0) < 0 ||
        read(FORKSERVER_SOCKET, &byte, 1) != 1)
        _exit(1);
    if (cell_prepare(&s->limits, &f) < 0) {
        struct report r = {.type = REPORT_FAULT, .status = f.status};
        memcpy(r.message, f.message, sizeof r.message);
        packet_send(FORKSERVER_SOCKET, &r, sizeof r, NULL, 0);
        _exit(1);
    }
    pid1_main(FORKSERVER_SOCKET, &s->limits);
}

static pid_t clone_cell(const struct forkserver *s, int control, int *pidfd,
                        struct failure *f) {
    struct clone_args args = {
        .flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET |
                 CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP | CLONE_PIDFD,
        .pidfd = (uintptr_t)pidfd,
        .exit_signal = SIGCHLD,
    };
    pid_t pid = syscall(SYS_clone3, &args, sizeof args);
    if (pid == 0)
        run_cell(s, control);
    if (pid < 0 && errno == ENOSPC)
        return fail(f, 503,
                    "too many user, network or other namespaces; raise "
                    "the limits in /proc/sys/user");
    if (pid < 0)
        return fail_errno(f, "cannot make the sandbox's namespaces");
    return pid;
}

static int start_cell(const struct forkserver *s, const int pair[2], int *pidfd,
                      struct failure *f) {
    pid_t pid = clone_cell(s, pair[1], pidfd, f);
    if (pid < 0)
        return -1;
    if (write_map(pid, "uid_map", s, f) < 0 ||
        write_map(pid, "gid_map", s, f) < 0) {
        kill(pid, SIGKILL);
        return -1;
    }
    if (packet_send(pair[0], "", 1, NULL, 0) < 0)
        return fail_errno(f, "cannot start the sandbox's init");
    return 0;
}

/* Makes one cell and hands it over. -1 when the engine is gone. */
static int serve_one(const struct forkserver *s) {
    struct failure f = {0};
    int pair[2], pidfd = -1;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        fail_errno(&f, "cannot make a control socket");
        return report_failure(&f);
    }
    int rc;
    if (start_cell(s, pair, &pidfd, &f) == 0) {
        struct cell_report r = {.type = CELL_READY};
        rc = report(&r, (int[]){pair[0], pidfd}, 2);
    } else {
        rc = report_failure(&f);
    }
    close(pair[0]);
    close(pair[1]);
    if (pidfd >= 0)
        close(pidfd);
    return rc;
}

static int load_filter(struct cell_limits *limits, struct failure *f) {
    struct stat st;
    if (fstat(FORKSERVER_SECCOMP, &st) < 0 || st.st_size == 0)
        return fail_errno(f, "no system call filter");
    void *map =
        mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, FORKSERVER_SECCOMP, 0);
    if (map == MAP_FAILED)
        return fail_errno(f, "cannot read the system call filter");
    limits->filter = map;
    limits->filter_length = st.st_size / sizeof(struct sock_filter);
    close(FORKSERVER_SECCOMP);
    return 0;
}

/* When memory runs out, what runs in a sandbox goes before anything else of
 * its user. */
static void offer_to_oom_killer(void) {
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd >= 0 && write(fd, "500", 3) == 3)
        close(fd);
}

/* The engine's standard streams are not for sandboxes. */
static int close_streams(struct failure *f) {
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int i = 0; i < 3; i++)
        if (null < 0 || dup2(null, i) < 0)
            return fail_errno(f, "cannot open /dev/null");
    if (null > 2)
        close(null);
    return 0;
}

static int prepare(struct forkserver *s, struct failure *f) {
    offer_to_oom_killer();
    /* Cells are reaped by the kernel; the engine watches their pidfds. */
    signal(SIGCHLD, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return fail_errno(f, "PR_SET_PDEATHSIG");
    /* Nobody may look into a cell, not even its own root. */
    if (prctl(PR_SET_DUMPABLE, 0) < 0)
        return fail_errno(f, "PR_SET_DUMPABLE");
    if (close_streams(f) < 0 || load_filter(&s->limits, f) < 0 ||
        stage_build(FORKSERVER_DATA_DIR, f) < 0)
        return -1;
    close(FORKSERVER_DATA_DIR);
    return 0;
}

int forkserver_main(unsigned id_base, unsigned id_count) {
    struct forkserver s = {.id_base = id_base,
                           .id_count = id_count,
                           .limits.one_id = id_count == 1};
    struct failure f = {0};
    if (prepare(&s, &f) < 0) {
        report_failure(&f);
        return 1;
    }
    struct cell_report hello = {.type = CELL_HELLO};
    if (report(&hello, NULL, 0) < 0)
        return 1;
    char byte;
    for (;;) {
        ssize_t got = read(FORKSERVER_SOCKET, &byte, 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0 || serve_one(&s) < 0)
            return 0;
    }
}
