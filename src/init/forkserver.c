#define _GNU_SOURCE
#include "init/forkserver.h"
#include "init/cell.h"
#include "init/net.h"
#include "init/packet.h"
#include "init/pid1.h"
#include "init/report.h"
#include "init/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <linux/sched.h>
#include <linux/securebits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { IDLE_NETS_MAX = 32 };

struct net {
    int fd;
    pid_t cell; /* the cell in it; 0: none */
    bool once;  /* CELL_CONNECTED: never used again */
    uint64_t when_new;
};

struct forkserver {
    const struct sandbox_ids *ids;
    unsigned cells; /* made so far */
    struct cell_limits limits;
    struct net *nets;
    size_t net_count, net_capacity, idle_nets;
};

static int send_report(struct cell_report *r, const int *fds, int count) {
    return packet_send(FORKSERVER_SOCKET, r, sizeof *r, fds, count);
}

static int send_failure(const struct failure *f, int kind) {
    struct cell_report r = {
        .type = CELL_FAULT, .kind = kind, .status = f->status};
    snprintf(r.message, sizeof r.message, "%s", f->message);
    return send_report(&r, NULL, 0);
}

static int write_map(pid_t pid, const char *name, const char *map,
                     struct failure *f) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    ssize_t length = (ssize_t)strlen(map);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return fail_errno(f, "cannot open %s", path);
    int rc = 0;
    if (write(fd, map, (size_t)length) != length)
        rc = fail_errno(f, "cannot write the sandbox's %s", name);
    close(fd);
    return rc;
}

/* The cell's side of clone3: PID 1 of its own namespaces. The first packet says
 * that its ids are mapped. */
_Noreturn static void run_cell(const struct forkserver *s, int control) {
    struct failure f = {0};
    char byte;
    /* Close the forkserver's socket and the engine's end of ours. */
    if (dup3(control, FORKSERVER_SOCKET, O_CLOEXEC) < 0 ||
        close_range(FORKSERVER_SOCKET + 1, ~0U, 0) < 0 ||
        read(FORKSERVER_SOCKET, &byte, 1) != 1)
        _exit(1);
    if (cell_prepare(&s->limits, &f) < 0)
        report_fault(FORKSERVER_SOCKET, &f);
    pid1_main(FORKSERVER_SOCKET, &s->limits);
}

/* Die with the engine, and let no process look into a cell, not even the cell's
 * own root. A change of credentials undoes both. */
static int close_up(struct failure *f) {
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0)
        return fail_errno(f, "prctl");
    return 0;
}

/* The kernel charges the use of all users of a namespace to its owner. So each
 * sandbox's namespace is owned by another of our ids, which does nothing else.
 */
static uid_t next_owner(struct forkserver *s) {
    enum { EACH = 4096 };
    uint64_t number = (uint64_t)getpid() * EACH + s->cells++ % EACH;
    return s->ids->base + number % s->ids->count;
}

static pid_t clone_as(uid_t owner, struct clone_args *args) {
    if (owner != 0 && setresuid(-1, owner, -1) < 0)
        return -1;
    pid_t pid = syscall(SYS_clone3, args, sizeof *args);
    int error = errno;
    if (pid != 0 && owner != 0 && setresuid(-1, 0, -1) < 0)
        _exit(1);
    errno = error;
    return pid;
}

static pid_t clone_cell(struct forkserver *s, int control, int *pidfd,
                        struct failure *f) {
    struct clone_args args = {
        .flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC |
                 CLONE_NEWUTS | CLONE_NEWCGROUP | CLONE_PIDFD,
        .pidfd = (uintptr_t)pidfd,
        .exit_signal = SIGCHLD,
    };
    pid_t pid = clone_as(s->ids->count > 1 ? next_owner(s) : 0, &args);
    if (pid == 0)
        run_cell(s, control);
    int error = errno;
    if (close_up(f) < 0)
        _exit(1); /* all cells end, too */
    errno = error;
    if (pid < 0 && errno == EPERM)
        return fail(f, 503,
                    "user namespaces are not allowed here (inside a chroot, "
                    "or by the kernel's settings); contree-engine doctor "
                    "explains it");
    if (pid < 0 && errno == ENOSPC)
        return fail(f, 503,
                    "no more namespaces are allowed. Fix: sudo sysctl -w "
                    "user.max_user_namespaces=15000, or another of the limits "
                    "in /proc/sys/user");
    if (pid < 0)
        return fail_errno(f, "cannot make the sandbox's namespaces");
    return pid;
}

static pid_t start_cell(struct forkserver *s, const int pair[2], int *pidfd,
                        struct failure *f) {
    pid_t pid = clone_cell(s, pair[1], pidfd, f);
    if (pid < 0)
        return -1;
    if (write_map(pid, "uid_map", s->ids->users, f) < 0 ||
        write_map(pid, "gid_map", s->ids->groups, f) < 0) {
        kill(pid, SIGKILL);
        return -1;
    }
    if (packet_send(pair[0], "", 1, NULL, 0) < 0)
        return fail_errno(f, "cannot start the sandbox's init");
    return pid;
}

static int add_net(struct forkserver *s, struct failure *f) {
    if (s->net_count == s->net_capacity) {
        size_t capacity = s->net_capacity ? 2 * s->net_capacity : 16;
        struct net *grown = realloc(s->nets, capacity * sizeof *grown);
        if (!grown)
            return fail(f, 500, "out of memory");
        s->nets = grown;
        s->net_capacity = capacity;
    }
    struct net net = {.cell = 0};
    net.fd = net_make(s->ids->base, s->ids->base + s->ids->count - 1,
                      &net.when_new, f);
    if (net.fd < 0)
        return -1;
    s->nets[s->net_count++] = net;
    s->idle_nets++;
    return 0;
}

/* Enters a network namespace that no cell is in, for the next child. */
static struct net *enter_net(struct forkserver *s, int kind,
                             struct failure *f) {
    for (size_t i = 0; i < s->net_count && kind == CELL_PRIVATE; i++)
        if (s->nets[i].cell == 0)
            return net_enter(s->nets[i].fd, f) < 0 ? NULL : &s->nets[i];
    if (add_net(s, f) < 0)
        return NULL;
    struct net *net = &s->nets[s->net_count - 1];
    net->once = kind == CELL_CONNECTED;
    return net;
}

static void remove_net(struct forkserver *s, size_t i) {
    close(s->nets[i].fd);
    s->nets[i] = s->nets[--s->net_count];
    s->idle_nets--;
}

/* A cell has ended, and with it all processes of its namespaces. */
static void release_net(struct forkserver *s, pid_t cell) {
    size_t i = 0;
    while (i < s->net_count && s->nets[i].cell != cell)
        i++;
    if (i == s->net_count)
        return;
    s->nets[i].cell = 0;
    s->idle_nets++;
    if (s->nets[i].once || s->idle_nets > IDLE_NETS_MAX ||
        !net_is_unused(s->nets[i].fd, s->nets[i].when_new))
        remove_net(s, i);
}

/* Makes a cell and hands it over; -1 when the engine is gone. */
static int serve_one(struct forkserver *s, int kind) {
    struct failure f = {0};
    int pair[2], pidfd = -1, rc;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        fail_errno(&f, "cannot make a control socket");
        return send_failure(&f, kind);
    }
    struct net *net = enter_net(s, kind, &f);
    pid_t pid = net ? start_cell(s, pair, &pidfd, &f) : -1;
    if (pid > 0) {
        net->cell = pid;
        s->idle_nets--;
        struct cell_report r = {.type = CELL_READY, .kind = kind};
        int fds[] = {pair[0], pidfd, net->fd};
        rc = send_report(&r, fds, kind == CELL_CONNECTED ? 3 : 2);
        if (rc < 0 && errno == ETOOMANYREFS) { /* the cell ends without us */
            fail_errno(&f, "a sandbox was made and cannot be handed over");
            rc = send_failure(&f, kind);
        }
    } else {
        if (net && net->once)
            remove_net(s, net - s->nets);
        rc = send_failure(&f, kind);
    }
    close(pair[0]);
    close(pair[1]);
    if (pidfd >= 0)
        close(pidfd);
    return rc;
}

/* With a single id our own namespace counts all sandboxes as one user: each
 * sandbox may use half of that user's limit. */
static void read_counted(struct forkserver *s) {
    static const char *const names[] = {COUNTED_FOR_USERS};
    for (int i = 0; i < COUNTED && s->ids->count == 1; i++) {
        char path[64], text[32] = "";
        snprintf(path, sizeof path, "/proc/sys/user/%s", names[i]);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0 && read(fd, text, sizeof text - 1) > 0)
            s->limits.counted[i] = strtol(text, NULL, 10) / 2;
        if (fd >= 0)
            close(fd);
    }
}

/* Sandboxes must not get the engine's standard streams. */
static int close_streams(struct failure *f) {
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int i = 0; i < 3; i++)
        if (null < 0 || dup2(null, i) < 0)
            return fail_errno(f, "cannot open /dev/null");
    if (null > 2)
        close(null);
    return 0;
}

/* Replace the keyring of the engine's session by an empty one for all cells,
 * which the filter keeps from reaching it. A keyring for each cell would cost
 * one of the 200 keys (kernel.keys.maxkeys) that all sandboxes of a user share.
 */
static int leave_keyring(struct failure *f) {
    if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 &&
        errno != ENOSYS)
        return fail_errno(f, "cannot make a keyring");
    return 0;
}

static int build_stage(const struct oci_runtime *runtime, struct failure *f) {
    return runtime
               ? stage_build_for_runtime(FORKSERVER_DATA_DIR, runtime->stage, f)
               : stage_build(FORKSERVER_DATA_DIR, f);
}

static int prepare(struct forkserver *s, struct failure *f) {
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_NAME, "contree-init"); /* else it is that of a memfd */
    /* So that clone_as() changes the id and nothing else. */
    if (prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP) < 0)
        return fail_errno(f, "PR_SET_SECUREBITS");
    if (close_up(f) < 0)
        return -1;
    read_counted(s);
    /* The first network before the stage, whose /sys shows it. */
    if (leave_keyring(f) < 0 || close_streams(f) < 0 ||
        cell_load_filter(&s->limits, FORKSERVER_SECCOMP, f) < 0 ||
        add_net(s, f) < 0 || build_stage(s->limits.runtime, f) < 0)
        return -1;
    close(FORKSERVER_SECCOMP);
    close(FORKSERVER_DATA_DIR);
    return 0;
}

static void on_child(int signal_number) {
    (void)signal_number; /* only interrupts ppoll */
}

static void reap(struct forkserver *s) {
    pid_t pid;
    while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
        release_net(s, pid);
}

static void serve(struct forkserver *s) {
    struct sigaction action = {.sa_handler = on_child,
                               .sa_flags = SA_NOCLDSTOP};
    sigset_t blocked, none;
    sigemptyset(&none);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGCHLD);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    sigaction(SIGCHLD, &action, NULL);
    for (;;) {
        char byte;
        struct pollfd p = {.fd = FORKSERVER_SOCKET, .events = POLLIN};
        int ready = ppoll(&p, 1, NULL, &none);
        reap(s);
        if (ready > 0 &&
            (read(FORKSERVER_SOCKET, &byte, 1) != 1 || serve_one(s, byte) < 0))
            return; /* the engine is gone */
    }
}

int forkserver_main(const struct sandbox_ids *ids, bool fixed_proc,
                    const struct oci_runtime *runtime) {
    struct forkserver s = {.ids = ids,
                           .limits = {.one_id = ids->count == 1,
                                      .fixed_proc = fixed_proc,
                                      .runtime = runtime}};
    struct failure f = {0};
    if (prepare(&s, &f) < 0) {
        send_failure(&f, 0);
        return 1;
    }
    struct cell_report hello = {.type = CELL_HELLO};
    if (send_report(&hello, NULL, 0) == 0)
        serve(&s);
    return 0;
}
