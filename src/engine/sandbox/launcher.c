#define _GNU_SOURCE
#include "sandbox/launcher.h"
#include "base/descriptor.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/scope.h"
#include "init/protocol.h"
#include "sandbox/filter.h"
#include "sandbox/program.h"
#include "sandbox/quota.h"
#include "sandbox/userns.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    FORKSERVERS_MAX = 4,
    READY_EACH = 4, /* cells kept ready for each forkserver */
    READY_MAX = FORKSERVERS_MAX * READY_EACH,
    HELLO_SECONDS = 10,
    REFILL_MS = 10,
    REVIVE_MS = 1000, /* twice as long after each failure */
    REVIVE_MAX_MS = 64000,
    SWEEP_MAX_MS = 5000,
    ANSWERS_MAX = 16, /* in one turn of the loop */
    SWEEP_MS = 20,
};

struct forkserver_handle {
    struct launcher *launcher;
    int socket; /* -1: not running */
    pid_t pid;
    bool greeted;         /* it can make cells */
    bool watched;         /* poll is open */
    int owed[CELL_KINDS]; /* cells that were asked for and have not come */
    uv_poll_t poll;
};

struct launcher {
    uv_loop_t *loop;
    struct id_range ids;
    const struct runtime *runtime; /* NULL: native */
    int nice;
    int dir_fd, init_fd, filter_fd;
    int airlock_fd;       /* contree-airlock; -1: none has been needed yet */
    int quota_fd;         /* the user namespace that forkservers are in */
    bool keeps_oom_score; /* see keeps_oom_score() */
    struct forkserver_handle forkservers[FORKSERVERS_MAX];
    int forkserver_count;
    struct cell ready[READY_MAX];
    int ready_count, ready_wanted;
    struct cell_queue waiting[CELL_KINDS];
    uv_timer_t refill, revive, sweep;
    struct cgroups *cgroups;
    unsigned revive_ms, sweep_ms;
    unsigned processor, processors;
    int open_handles; /* on the loop */
    bool closing;
    char isolation[384];
};

/* ---- starting a forkserver ---- */

/* When memory runs out, processes of sandboxes are killed before any other
 * process of the user. */
static bool offer_to_oom_killer(void) {
    return write_to_file("/proc/self/oom_score_adj", "500") == 0;
}

/* Does the kernel keep sandboxes from lowering the score again? It does if the
 * score was raised with CAP_SYS_RESOURCE, that is by root. */
static bool keeps_oom_score(void) {
    struct __user_cap_header_struct header = {.version =
                                                  _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0}};
    int status;
    pid_t pid = fork();
    if (pid == 0)
        _exit(!offer_to_oom_killer() ||
              syscall(SYS_capset, &header, none) < 0 ||
              write_to_file("/proc/self/oom_score_adj", "499") == 0);
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

/* The kernel charges processes and signals to the owner of a namespace, too,
 * with the limits of the process that made it: so all users of a sandbox
 * together have no more. With one id all sandboxes would share one owner. */
static void share_limits(uint32_t ids) {
    enum { PROCESSES = 4396 }; /* as init/cell.c has it */
    struct rlimit l;
    if (ids > 1 && getrlimit(RLIMIT_NPROC, &l) == 0 && l.rlim_cur > PROCESSES) {
        l.rlim_cur = PROCESSES;
        setrlimit(RLIMIT_NPROC, &l);
    }
    if (ids > 1 && getrlimit(RLIMIT_SIGPENDING, &l) == 0 &&
        l.rlim_cur != RLIM_INFINITY) {
        l.rlim_cur /= 4;
        setrlimit(RLIMIT_SIGPENDING, &l);
    }
}

/* In the child: passes on descriptors 3 to 5, as the protocol says, and no
 * other.
 *
 * All sandboxes of a forkserver are in one session, with a lower priority: so
 * the program that embeds the engine keeps its processor while fifty of them
 * compute. The kernel shares processors out among sessions (sched_autogroup) or
 * among processes. */
_Noreturn static void exec_forkserver(const struct launcher *l, int socket,
                                      char *const argv[]) {
    enum { CLEAR = 16 };
    char *env[] = {NULL};
    int fds[] = {socket, l->dir_fd, l->filter_fd, l->init_fd};
    for (int i = 0; i < 4; i++)
        if ((fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, CLEAR)) < 0)
            _exit(1);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (int i = 0; i < 3; i++)
        if (dup2(fds[i], FORKSERVER_SOCKET + i) < 0)
            _exit(1);
    setsid();
    setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + l->nice);
    offer_to_oom_killer();
    if (!l->runtime) /* a runtime is in the chroot, too */
        leave_chroot();
    share_limits(l->ids.count);
    if (l->quota_fd >= 0 && setns(l->quota_fd, CLONE_NEWUSER) < 0)
        _exit(1);
    close_range(FORKSERVER_SOCKET + 3, ~0U, CLOSE_RANGE_CLOEXEC);
    fexecve(fds[3], argv, env);
    _exit(1);
}

/* The first report of a forkserver that cannot make cells. */
static int refused_to_start(const struct cell_report *r, struct fault *f) {
    return fault_set(f, 503, "sandboxes cannot be made here: %.300s%s",
                     r->message,
                     userns_is_restricted() ? ". Fix: " USERNS_FIX : "");
}

/* Waits for the forkserver's first report. */
static int hear_hello(struct forkserver_handle *s, struct fault *f) {
    struct cell_report r;
    struct timeval limit = {.tv_sec = HELLO_SECONDS}, never = {0};
    setsockopt(s->socket, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ssize_t got;
    do
        got = recv(s->socket, &r, sizeof r, 0);
    while (got < 0 && errno == EINTR);
    setsockopt(s->socket, SOL_SOCKET, SO_RCVTIMEO, &never, sizeof never);
    if (got != sizeof r)
        return fault_set(f, 503, "the sandbox launcher did not start");
    s->greeted = r.type == CELL_HELLO;
    return s->greeted ? 0 : refused_to_start(&r, f);
}

static void kill_forkserver(struct forkserver_handle *s) {
    if (s->pid <= 0)
        return;
    kill(s->pid, SIGKILL);
    while (waitpid(s->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    s->pid = 0;
}

/* To be called when its socket is not watched. */
static void stop_forkserver(struct forkserver_handle *s) {
    drop_fd(&s->socket);
    kill_forkserver(s);
}

static int start_forkserver(struct launcher *l, struct forkserver_handle *s,
                            struct fault *f) {
    const struct runtime *r = l->runtime;
    char base[16], count[16], users[IDS_MAP_SIZE], groups[IDS_MAP_SIZE];
    char *argv[] = {"contree-init",
                    base,
                    count,
                    users,
                    groups,
                    l->keeps_oom_score ? "rw" : "ro",
                    r ? (char *)r->stage : NULL,
                    r ? (char *)r->path : NULL,
                    r ? (char *)r->option : NULL,
                    NULL};
    int pair[2];
    snprintf(base, sizeof base, "%u", (unsigned)l->ids.base);
    snprintf(count, sizeof count, "%u", (unsigned)l->ids.count);
    ids_map(&l->ids, "/proc/self/uid_map", users);
    ids_map(&l->ids, "/proc/self/gid_map", groups);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return fault_errno(f, "cannot make a socket");
    s->launcher = l;
    s->pid = fork();
    if (s->pid == 0)
        exec_forkserver(l, pair[1], argv);
    close_fd(pair[1]);
    if (s->pid < 0) {
        close_fd(pair[0]);
        return fault_errno(f, "cannot start the sandbox launcher");
    }
    s->socket = pair[0];
    s->greeted = false;
    memset(s->owed, 0, sizeof s->owed);
    return 0;
}

/* ---- cells ---- */

static int owed_by(const struct forkserver_handle *s) {
    return s->owed[CELL_PRIVATE] + s->owed[CELL_CONNECTED];
}

static struct forkserver_handle *least_busy(struct launcher *l) {
    struct forkserver_handle *best = NULL;
    for (int i = 0; i < l->forkserver_count; i++) {
        struct forkserver_handle *s = &l->forkservers[i];
        if (s->socket >= 0 && (!best || owed_by(s) < owed_by(best)))
            best = s;
    }
    return best;
}

static void on_refill(uv_timer_t *timer);

static void refill_soon(struct launcher *l) {
    if (!uv_is_active((uv_handle_t *)&l->refill))
        uv_timer_start(&l->refill, on_refill, REFILL_MS, 0);
}

/* Asks for cells until `missing` of them are owed. */
static void ask(struct launcher *l, char kind, int missing) {
    for (int i = 0; i < l->forkserver_count; i++)
        missing -= l->forkservers[i].owed[(int)kind];
    for (; missing > 0; missing--) {
        struct forkserver_handle *s = least_busy(l);
        if (!s)
            return;
        if (send(s->socket, &kind, 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
            /* One that is full is asked again when it has delivered. One that
             * could not be asked delivers nothing. */
            if (errno != EAGAIN)
                refill_soon(l);
            return;
        }
        s->owed[(int)kind]++;
    }
}

static void ask_for_waiting(struct launcher *l) {
    ask(l, CELL_PRIVATE, l->waiting[CELL_PRIVATE].count);
    ask(l, CELL_CONNECTED, l->waiting[CELL_CONNECTED].count);
}

void launcher_refill(struct launcher *l) {
    uv_timer_stop(&l->refill);
    ask_for_waiting(l);
    ask(l, CELL_PRIVATE,
        l->waiting[CELL_PRIVATE].count + l->ready_wanted - l->ready_count);
}

static void on_refill(uv_timer_t *timer) {
    launcher_refill(timer->data);
}

static void drop_cell(struct cell cell) {
    drop_fd(&cell.control);
    drop_fd(&cell.pidfd);
    drop_fd(&cell.net);
}

static bool is_alive(const struct cell *cell) {
    struct pollfd p = {.fd = cell->pidfd, .events = POLLIN};
    return poll(&p, 1, 0) == 0;
}

static bool is_running(const struct forkserver_handle *s) {
    siginfo_t info = {.si_pid = 0};
    return s->pid > 0 &&
           waitid(P_PID, s->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == 0;
}

bool cell_is_usable(const struct cell *cell) {
    return is_running(cell->maker) && is_alive(cell);
}

static void deliver(struct launcher *l, struct cell cell) {
    int kind = cell.net < 0 ? CELL_PRIVATE : CELL_CONNECTED;
    struct cell_queue *q = &l->waiting[kind];
    bool wanted = q->first && cell_is_usable(&cell);
    struct cell_request *r = wanted ? cell_queue_take(q) : NULL;
    if (r)
        r->ready(r, cell);
    else if (!q->first && kind == CELL_PRIVATE && l->ready_count < READY_MAX)
        l->ready[l->ready_count++] = cell;
    else
        drop_cell(cell);
}

/* Drops the spare cells of a forkserver that died. */
static void drop_cells_of(struct launcher *l,
                          const struct forkserver_handle *maker) {
    int kept = 0;
    for (int i = 0; i < l->ready_count; i++)
        if (l->ready[i].maker == maker)
            drop_cell(l->ready[i]);
        else
            l->ready[kept++] = l->ready[i];
    l->ready_count = kept;
}

/* How many descriptors came with a message, -1 when some were lost. Fills
 * fds[], with -1 after them. */
static int take_descriptors(struct msghdr *message, int fds[CELL_FDS]) {
    int count = 0;
    for (int i = 0; i < CELL_FDS; i++)
        fds[i] = -1;
    struct cmsghdr *c = CMSG_FIRSTHDR(message);
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
        count = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        memcpy(fds, CMSG_DATA(c), (size_t)count * sizeof(int));
    }
    return message->msg_flags & MSG_CTRUNC ? -1 : count;
}

static void drop_descriptors(int fds[CELL_FDS]) {
    for (int i = 0; i < CELL_FDS; i++)
        drop_fd(&fds[i]);
}

/* Turns a cell into a fault if the kernel dropped descriptors of it, because we
 * had no free numbers. The cell ends when the others are closed. */
static void check_complete(struct cell_report *report, int got,
                           int fds[CELL_FDS]) {
    int wanted = report->kind == CELL_CONNECTED ? CELL_FDS : CELL_FDS - 1;
    if (report->type == CELL_READY && got == wanted)
        return;
    drop_descriptors(fds);
    if (report->type != CELL_READY)
        return;
    report->type = CELL_FAULT;
    report->status = 503;
    snprintf(report->message, sizeof report->message,
             "a sandbox was made, but the engine has no descriptors left for "
             "it. " DESCRIPTORS_FIX);
}

static int kind_of(const struct cell_report *report) {
    return report->kind == CELL_CONNECTED ? CELL_CONNECTED : CELL_PRIVATE;
}

static bool is_owed(const struct forkserver_handle *s,
                    const struct cell_report *report) {
    return s->owed[kind_of(report)] > 0;
}

static void handle_answer(struct forkserver_handle *s,
                          struct cell_report *report, struct cell cell) {
    struct launcher *l = s->launcher;
    int kind = kind_of(report);
    report->message[sizeof report->message - 1] = '\0';
    s->owed[kind]--;
    if (report->type == CELL_READY) {
        deliver(l, cell);
        return;
    }
    struct cell_request *r = cell_queue_take(&l->waiting[kind]);
    if (r && !r->repeated) {
        /* What failed may have been begun for nobody, long before the shortage
         * was over. */
        r->repeated = true;
        cell_queue_put_back(&l->waiting[kind], r);
    } else if (r) {
        bool is_status = report->status >= 400 && report->status <= 599;
        struct fault f;
        fault_set(&f, is_status ? report->status : 500, "%.399s",
                  report->message);
        r->refused(r, &f);
    }
}

static void refuse_all(struct launcher *l, const struct fault *f) {
    struct cell_request *r;
    for (int kind = 0; kind < CELL_KINDS; kind++)
        while ((r = cell_queue_take(&l->waiting[kind])))
            r->refused(r, f);
}

/* Handles the first report of a forkserver that was started again. */
static int greet(struct forkserver_handle *s, struct cell_report *r) {
    struct fault f;
    r->message[sizeof r->message - 1] = '\0';
    s->greeted = r->type == CELL_HELLO;
    if (s->greeted) {
        s->launcher->revive_ms = 0;
        return 1;
    }
    refused_to_start(r, &f);
    log_line("%s", f.message);
    refuse_all(s->launcher, &f);
    return -1;
}

/* Handles one answer of a forkserver: 1, 0 when there is none, -1 when the
 * forkserver is gone. */
static int receive_answer(struct forkserver_handle *s) {
    struct cell_report report;
    union {
        char space[CMSG_SPACE(CELL_FDS * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec part = {.iov_base = &report, .iov_len = sizeof report};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.space,
                             /* so that no more than CELL_FDS are taken */
                             .msg_controllen =
                                 CMSG_LEN(CELL_FDS * sizeof(int))};
    int fds[CELL_FDS];
    ssize_t got = recvmsg(s->socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    int count = got < 0 ? 0 : take_descriptors(&message, fds);
    if (got != sizeof report || (s->greeted && !is_owed(s, &report))) {
        if (got >= 0)
            drop_descriptors(fds);
        return -1;
    }
    if (!s->greeted) {
        drop_descriptors(fds);
        return greet(s, &report);
    }
    check_complete(&report, count, fds);
    handle_answer(s, &report, (struct cell){fds[0], fds[1], fds[2], s});
    return 1;
}

/* ---- on the loop ---- */

static void on_forkserver(uv_poll_t *poll, int status, int events);

static int watch(struct forkserver_handle *s, struct fault *f) {
    s->poll.data = s;
    if (watch_open(s->launcher->loop, &s->poll, s->socket, f) < 0)
        return -1;
    s->watched = true;
    s->launcher->open_handles++;
    uv_poll_start(&s->poll, UV_READABLE, on_forkserver);
    return 0;
}

static void free_if_closed(struct launcher *l) {
    if (l->closing && l->open_handles == 0)
        free(l);
}

static void on_revive(uv_timer_t *timer);

static unsigned longer(unsigned ms, unsigned first, unsigned most) {
    return ms == 0 ? first : ms > most / 2 ? most : 2 * ms;
}

static void revive_later(struct launcher *l) {
    l->revive_ms = longer(l->revive_ms, REVIVE_MS, REVIVE_MAX_MS);
    uv_timer_start(&l->revive, on_revive, l->revive_ms, 0);
}

/* For a run that waits. */
static void revive_soon(struct launcher *l) {
    if (uv_timer_get_due_in(&l->revive) > REVIVE_MS)
        uv_timer_start(&l->revive, on_revive, REVIVE_MS, 0);
}

/* Starts the forkservers that died. When none runs then, all requests that wait
 * are refused; and it is tried again later, as a shortage may be over. */
static void revive(struct launcher *l) {
    struct fault f;
    for (int i = 0; i < l->forkserver_count; i++) {
        struct forkserver_handle *s = &l->forkservers[i];
        if (s->watched ||
            (start_forkserver(l, s, &f) == 0 && watch(s, &f) == 0))
            continue;
        stop_forkserver(s);
        log_line("%s", f.message);
        if (!least_busy(l))
            refuse_all(l, &f);
        if (l->closing) /* by a callback */
            return;
        revive_later(l);
    }
    launcher_refill(l);
}

static void on_revive(uv_timer_t *timer) {
    revive(timer->data);
}

/* A forkserver died, and its sandboxes with it. One that never worked is
 * started again later. */
static void on_forkserver_closed(uv_handle_t *handle) {
    struct forkserver_handle *s = handle->data;
    struct launcher *l = s->launcher;
    l->open_handles--;
    s->watched = false;
    drop_cells_of(l, s);
    stop_forkserver(s);
    if (!l->closing && s->greeted) {
        log_line("the sandbox launcher died; starting another one");
        revive(l);
    } else if (!l->closing) {
        revive_later(l);
    }
    free_if_closed(l);
}

static void on_forkserver(uv_poll_t *poll, int status, int events) {
    struct forkserver_handle *s = poll->data;
    (void)events;
    int rc = status < 0 ? -1 : 1;
    for (int i = 0; rc > 0 && i < ANSWERS_MAX; i++)
        rc = receive_answer(s);
    /* A callback may have closed the launcher. */
    if (uv_is_closing((uv_handle_t *)poll))
        return;
    if (rc < 0)
        watch_close(poll, on_forkserver_closed);
    else
        ask_for_waiting(s->launcher);
}

bool launcher_take(struct launcher *l, struct cell_request *r,
                   struct cell *cell) {
    bool found = false;
    while (!r->connected && !found && l->ready_count > 0) {
        *cell = l->ready[--l->ready_count];
        found = cell_is_usable(cell);
        if (!found)
            drop_cell(*cell);
    }
    if (!found) {
        int kind = r->connected ? CELL_CONNECTED : CELL_PRIVATE;
        r->repeated = false;
        cell_queue_add(&l->waiting[kind], r);
        ask_for_waiting(l);
        if (!least_busy(l))
            revive_soon(l);
    } else {
        refill_soon(l);
    }
    return found;
}

int launcher_dir(const struct launcher *l) {
    return l->dir_fd;
}

uv_loop_t *launcher_loop(struct launcher *l) {
    return l->loop;
}

struct cgroups *launcher_cgroups(struct launcher *l) {
    return l->cgroups;
}

unsigned launcher_processor(struct launcher *l) {
    return l->processor++ % l->processors;
}

int launcher_check_limits(const struct launcher *l, const struct limits *limits,
                          struct fault *f) {
    return cgroups_check(l->cgroups, limits, f);
}

static void on_sweep(uv_timer_t *timer) {
    struct launcher *l = timer->data;
    if (!cgroups_sweep(l->cgroups))
        return;
    l->sweep_ms = longer(l->sweep_ms, SWEEP_MS, SWEEP_MAX_MS);
    uv_timer_start(timer, on_sweep, l->sweep_ms, 0);
}

void launcher_sweep(struct launcher *l) {
    l->sweep_ms = 0;
    if (!l->closing)
        on_sweep(&l->sweep);
}

/* ---- life ---- */

/* Spreads the workspaces over the disk. Every overlay mount makes and deletes
 * some inodes in its work directory. Before it makes one, ext4 without a
 * journal checks all recently deleted inodes nearby: milliseconds, if there are
 * many. Other file systems have no such flag. */
static void spread(int dir_fd, const char *name) {
    int flags, fd CLEANUP(cleanup_close) =
                   openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0)
        return;
    flags |= FS_TOPDIR_FL;
    ioctl(fd, FS_IOC_SETFLAGS, &flags);
}

/* Makes the directories that cells mount, before a forkserver opens them. Id
 * base must be able to search them, but not the data directory itself. */
static int make_dirs(int dir_fd, struct fault *f) {
    static const char *const dirs[] = {"l", "w", "v"};
    for (int i = 0; i < 3; i++)
        if ((mkdirat(dir_fd, dirs[i], 0700) < 0 && errno != EEXIST) ||
            fchmodat(dir_fd, dirs[i], 0711, 0) < 0)
            return fault_errno(f, "cannot make %s/ in the data directory",
                               dirs[i]);
    spread(dir_fd, "w");
    return 0;
}

static int core_count(void) {
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) < 0 ? 1 : CPU_COUNT(&set);
}

static int open_all(struct launcher *l, struct fault *f) {
    l->cgroups = cgroups_open("/proc/self", l->dir_fd);
    if (!l->cgroups)
        return fault_memory(f);
    cgroups_set_nice(l->cgroups, l->nice);
    if (make_dirs(l->dir_fd, f) < 0 ||
        (l->init_fd = program_unpack_init(f)) < 0 ||
        (l->filter_fd = filter_compile(f)) < 0 ||
        quota_open(l->ids.count, &l->quota_fd, f) < 0)
        return -1;
    l->keeps_oom_score = keeps_oom_score();
    int wanted = (core_count() + 1) / 2;
    l->processors = (unsigned)core_count();
    if (wanted > FORKSERVERS_MAX)
        wanted = FORKSERVERS_MAX;
    while (l->forkserver_count < wanted) {
        struct forkserver_handle *s = &l->forkservers[l->forkserver_count];
        if (start_forkserver(l, s, f) < 0)
            return -1;
        l->forkserver_count++;
        if (hear_hello(s, f) < 0)
            return -1;
    }
    l->ready_wanted = READY_EACH * wanted;
    return 0;
}

/* Sandboxes have a limit of one byte for core dumps (init/cell.c), which ours
 * must not be below. Only root can raise it. */
static void raise_core_limit(void) {
    struct rlimit core;
    if (getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max < 1) {
        core.rlim_max = 1;
        setrlimit(RLIMIT_CORE, &core);
    }
}

struct launcher *launcher_open(int dir_fd, struct id_range ids,
                               const struct runtime *runtime, int nice,
                               struct fault *f) {
    struct launcher *l = calloc(1, sizeof *l);
    if (!l) {
        fault_memory(f);
        return NULL;
    }
    l->ids = ids;
    l->runtime = runtime;
    l->nice = nice;
    l->dir_fd = dir_fd;
    l->init_fd = l->airlock_fd = l->filter_fd = l->quota_fd = -1;
    for (int kind = 0; kind < CELL_KINDS; kind++)
        cell_queue_init(&l->waiting[kind]);
    snprintf(l->isolation, sizeof l->isolation,
             "user,mount,pid,net,ipc,uts,cgroup,seccomp,no_new_privs,"
             "capabilities%s%s%s",
             ids.count > 1 ? ",ids" : "", runtime ? ",runtime:" : "",
             runtime ? runtime->name : "");
    raise_core_limit();
    if (open_all(l, f) < 0) {
        launcher_close(l);
        return NULL;
    }
    return l;
}

int launcher_attach(struct launcher *l, uv_loop_t *loop, struct fault *f) {
    l->loop = loop;
    uv_timer_init(loop, &l->refill);
    uv_timer_init(loop, &l->revive);
    uv_timer_init(loop, &l->sweep);
    l->refill.data = l->revive.data = l->sweep.data = l;
    l->open_handles += 3;
    cgroups_recover(l->cgroups);
    launcher_sweep(l);
    for (int i = 0; i < l->forkserver_count; i++)
        if (watch(&l->forkservers[i], f) < 0)
            return -1;
    launcher_refill(l);
    return 0;
}

static void on_timer_closed(uv_handle_t *handle) {
    struct launcher *l = handle->data;
    l->open_handles--;
    free_if_closed(l);
}

void launcher_close(struct launcher *l) {
    if (!l)
        return;
    l->closing = true;
    while (l->ready_count > 0)
        drop_cell(l->ready[--l->ready_count]);
    for (int i = 0; i < l->forkserver_count; i++) {
        struct forkserver_handle *s = &l->forkservers[i];
        kill_forkserver(s);
        if (!s->watched)
            drop_fd(&s->socket);
        else if (!uv_is_closing((uv_handle_t *)&s->poll))
            watch_close(&s->poll, on_forkserver_closed);
    }
    if (l->loop) {
        uv_close((uv_handle_t *)&l->refill, on_timer_closed);
        uv_close((uv_handle_t *)&l->revive, on_timer_closed);
        uv_close((uv_handle_t *)&l->sweep, on_timer_closed);
    }
    cgroups_close(steal_pointer(&l->cgroups));
    drop_fd(&l->init_fd);
    drop_fd(&l->airlock_fd);
    drop_fd(&l->filter_fd);
    drop_fd(&l->quota_fd);
    free_if_closed(l);
}

const char *launcher_isolation(const struct launcher *l) {
    return l->isolation;
}

bool launcher_has_runtime(const struct launcher *l) {
    return l->runtime != NULL;
}

int launcher_airlock(struct launcher *l, struct fault *f) {
    if (l->airlock_fd < 0)
        l->airlock_fd = program_unpack_airlock(f);
    return l->airlock_fd;
}

int launcher_filter(const struct launcher *l) {
    return l->filter_fd;
}

char *launcher_config(const struct launcher *l, const char *hostname,
                      int64_t shm_bytes) {
    return l->runtime ? runtime_config(l->runtime, hostname, shm_bytes, l->ids,
                                       !l->keeps_oom_score)
                      : strdup("");
}
