#define _GNU_SOURCE
#include "sandbox/sandbox.h"
#include "base/clock.h"
#include "base/descriptor.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/overlay.h"
#include "base/scope.h"
#include "base/turn.h"
#include "init/protocol.h"
#include "sandbox/airlock.h"
#include "sandbox/asking_filter.h"
#include "sandbox/launcher.h"
#include "sandbox/message.h"
#include "sandbox/network.h"
#include "sandbox/order.h"
#include "sandbox/trace.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    CELLS_MAX = 3,          /* tried, until one enters the root */
    MEMORY_GRACE_MS = 2000, /* for init to end what ran out of memory */
    AGAIN_MS = 10,          /* when the system has no room for a message */
    REPORTS_MAX = 32,       /* read in one turn of the loop */
    WAITING_MAX = 16,       /* messages, before sandbox_is_full() */
};

struct sandbox {
    struct launcher *launcher;
    struct sandbox_callbacks on;
    void *arg;
    struct cell_request request;
    struct cell cell;
    bool has_cell;
    unsigned cells;   /* tried so far */
    unsigned leaving; /* handles of the last cell that are being closed */
    bool started;     /* init has entered the root */
    char *work;       /* the overlay's work directory */
    struct network *network; /* with airlock NULL, too: loopback alone */
    struct airlock *airlock;
    enum tracing tracing;
    struct trace *trace;
    int rules;       /* of the airlock, until that starts; or -1 */
    int certificate; /* a file for that of the airlock, filled when it is
                      * ready, before any order is sent; or -1 */
    bool connecting; /* orders wait for the network, or for a cell */
    bool killed;     /* by sandbox_kill(): failed is not called */
    bool settled;    /* the main process ended, or failed was called */
    /* Orders. Until `started` those that were sent are kept, for another cell.
     */
    struct message *first, **last;
    struct message *unsent; /* the first that was not sent, NULL: all were */
    size_t waiting;         /* length of the list */
    bool asked;             /* fed() is to be called */
    struct cgroup *group;   /* NULL: no limits */
    bool watches_control, watches_end, watches_group;
    bool unborn;  /* sandbox_start() fails: gone is not called */
    int main_pid; /* inside; 0: not spawned */
    double spawned_at;
    uv_poll_t control_poll, pid_poll, group_poll;
    uv_timer_t grace; /* open with group_poll */
    uv_timer_t again; /* open with control_poll */
    int open_handles;
};

/* Drops the messages before `end`; NULL: all. */
static void drop_messages(struct sandbox *s, const struct message *end) {
    while (s->first != end) {
        struct message *m = s->first;
        s->first = m->next;
        message_free(m);
        s->waiting--;
    }
    if (!s->first)
        s->last = &s->first;
}

static void on_control(uv_poll_t *poll, int status, int events);
static void end_handle(struct sandbox *s);

static void watch_control(struct sandbox *s) {
    bool asking = s->asked && !s->first;
    bool waiting = (s->unsent || asking) && !s->connecting &&
                   !uv_is_active((uv_handle_t *)&s->again);
    int events = UV_READABLE | (waiting ? UV_WRITABLE : 0);
    uv_poll_start(&s->control_poll, events, on_control);
}

static void on_again(uv_timer_t *timer);

/* Sends the orders, until the socket is full or the turn of the loop is long.
 * When init is gone on_end() follows. */
static void send_messages(struct sandbox *s) {
    while (s->unsent && !turn_is_long(launcher_loop(s->launcher))) {
        enum sending how = message_send(s->cell.control, s->unsent);
        if (how == NO_ROOM)
            uv_timer_start(&s->again, on_again, AGAIN_MS, 0);
        if (how != SENT)
            return;
        s->unsent = s->unsent->next;
        if (s->started)
            drop_messages(s, s->unsent);
    }
}

/* The same from the loop, where fed() may be called. */
static void send_and_ask(struct sandbox *s) {
    send_messages(s);
    bool ask = !s->first && s->asked;
    s->asked = s->asked && !ask;
    if (ask && !s->killed && !s->settled)
        s->on.fed(s->arg);
    watch_control(s);
}

static void on_again(uv_timer_t *timer) {
    send_and_ask(timer->data);
}

static void enqueue(struct sandbox *s, struct message *m) {
    bool was_empty = !s->unsent;
    *s->last = m;
    s->last = &m->next;
    s->waiting++;
    if (was_empty)
        s->unsent = m;
    if (!s->has_cell || s->connecting || !was_empty)
        return;
    send_messages(s);
    if (s->unsent)
        watch_control(s);
}

int sandbox_order(struct sandbox *s, struct order *o,
                  const struct strings *sets, size_t count, const int *fds,
                  int fd_count, struct fault *f) {
    struct message *m = message_new(o, sets, count, fds, fd_count, f);
    if (!m)
        return -1;
    if (s->killed || s->settled) {
        message_free(m);
        return fault_set(f, 409, "the sandbox has ended");
    }
    enqueue(s, m);
    return 0;
}

static void fail_sandbox(struct sandbox *s, int status, const char *message) {
    if (s->killed || s->settled)
        return;
    s->settled = true;
    struct fault f;
    fault_set(&f, status, "%s", message);
    s->on.failed(s->arg, &f);
}

/* Init ends, too, when its socket does. So a sandbox that a security module
 * keeps from us ends all the same. */
static void kill_cell(struct sandbox *s) {
    if (s->has_cell &&
        syscall(SYS_pidfd_send_signal, s->cell.pidfd, SIGKILL, NULL, 0) < 0)
        shutdown(s->cell.control, SHUT_RDWR);
}

static void tell_exit(struct sandbox *s, const struct report *r) {
    int status = r->wait_status;
    struct sandbox_exit e = {
        .code = WIFEXITED(status) ? WEXITSTATUS(status) : -1,
        .signal = WIFSIGNALED(status) ? WTERMSIG(status) : -1,
        .core_dump = WIFSIGNALED(status) && WCOREDUMP(status),
        .pid = r->pid,
        .usage = r->usage,
        .seconds = r->seconds,
        .background_killed = r->background_killed,
    };
    if (r->spid == 1) {
        s->settled = true;
        e.limit = s->group ? cgroup_limit_hit(s->group) : NULL;
    }
    s->on.exited(s->arg, r->spid, &e);
    if (r->spid == 1)
        launcher_refill(s->launcher);
    if (r->spid == 1 && s->airlock)
        airlock_finish(s->airlock);
}

/* We had no number left for the terminal. So it is closed, and hangs up. */
static void tell_lost_terminal(struct sandbox *s, int spid) {
    struct fault f;
    sandbox_signal(s, spid, SIGKILL, &f);
    fault_set(&f, 503, "the engine has too many files open for a terminal");
    s->on.spawn_failed(s->arg, spid, &f);
}

static void tell_spawned(struct sandbox *s, struct report *r, int *fd) {
    r->home[sizeof r->home - 1] = r->user[sizeof r->user - 1] = '\0';
    const struct sandbox_account a = {.uid = r->uid,
                                      .gid = r->gid,
                                      .home = *r->home ? r->home : NULL,
                                      .user = *r->user ? r->user : NULL};
    if (r->spid == 1) {
        s->main_pid = r->pid;
        s->spawned_at = monotonic_seconds();
    }
    if (r->terminal && *fd < 0)
        tell_lost_terminal(s, r->spid);
    else
        s->on.spawned(s->arg, r->spid, r->pid, &a, steal_fd(fd));
}

/* Nothing that was ordered has to be ordered again. */
static void on_entered(struct sandbox *s) {
    s->started = true;
    drop_messages(s, s->unsent);
    watch_control(s);
    s->on.started(s->arg);
}

static void tell_socket(struct sandbox *s, const struct report *r, int *fd) {
    struct fault f;
    fault_set(&f, r->status ? r->status : 503, "%s",
              *r->message ? r->message : "too many descriptors are under way");
    s->on.socket(s->arg, r->id, *fd, *fd < 0 ? &f : NULL);
    *fd = -1;
}

static void on_told(void *arg, const json_t *report) {
    struct sandbox *s = arg;
    if (s->on.reported)
        s->on.reported(s->arg, report);
}

static void on_trace_ended(void *arg) {
    struct sandbox *s = arg;
    s->trace = NULL;
    end_handle(s);
}

/* It counts as a handle: the sandbox is gone when it has told all. */
static void start_trace(struct sandbox *s, int *fd) {
    static const struct trace_callbacks on = {on_told, on_trace_ended};
    struct fault f;
    if (*fd < 0)
        fault_set(&f, 503, "the engine has too many files open to trace");
    else
        s->trace = trace_start(launcher_loop(s->launcher), steal_fd(fd),
                               launcher_filter(s->launcher),
                               s->tracing == TRACE_FILES, &on, s, &f);
    if (s->trace) {
        s->open_handles++;
        return;
    }
    fail_sandbox(s, f.status, f.message);
    kill_cell(s);
}

/* Init is ours, but lives among programs that are not. So that it could do no
 * more harm than end its sandbox, what it says must come in order: TRACE if it
 * was ordered, STARTED once, then the rest. */
static bool is_in_order(const struct sandbox *s, const struct report *r) {
    if (r->type == REPORT_TRACE)
        return s->tracing && !s->trace && !s->started;
    return r->type == REPORT_FAULT || (r->type == REPORT_STARTED) != s->started;
}

/* Takes the descriptor that came along, if the report has one. */
static void handle_report(struct sandbox *s, struct report *r, int *fd) {
    struct fault f;
    r->message[sizeof r->message - 1] = '\0';
    if (!is_in_order(s, r)) {
        fail_sandbox(s, 500, "the sandbox's init said what it may not say now");
        kill_cell(s);
        return;
    }
    if (r->status != 0 && (r->status < 400 || r->status > 599))
        r->status = 500;
    switch (r->type) {
    case REPORT_STARTED:
        on_entered(s);
        break;
    case REPORT_SPAWNED:
        tell_spawned(s, r, fd);
        break;
    case REPORT_SPAWN_FAILED:
        fault_set(&f, r->status ? r->status : 500, "%s", r->message);
        s->on.spawn_failed(s->arg, r->spid, &f);
        break;
    case REPORT_EXIT:
        tell_exit(s, r);
        break;
    case REPORT_FAULT:
        fail_sandbox(s, r->status ? r->status : 500, r->message);
        break;
    case REPORT_PAUSED:
        s->on.paused(s->arg, r->status == 0);
        break;
    case REPORT_SOCKET:
        tell_socket(s, r, fd);
        break;
    case REPORT_TRACE:
        start_trace(s, fd);
        break;
    }
}

enum reports { MORE, NO_MORE_NOW, NO_MORE_EVER };

/* Reads reports, until the turn of the loop is long. ECONNRESET means that init
 * ended with orders unread; its earlier reports follow. */
static enum reports receive_reports(struct sandbox *s) {
    for (int i = 0; i < REPORTS_MAX; i++) {
        struct report r;
        int fd CLEANUP(cleanup_close) = -1;
        if (i > 0 && turn_is_long(launcher_loop(s->launcher)))
            break;
        ssize_t got = message_receive(s->cell.control, &r, &fd);
        if (got == sizeof r && !s->killed && !s->settled)
            handle_report(s, &r, &fd);
        else if (got < 0 && (errno == EAGAIN || errno == ENOMEM))
            return NO_MORE_NOW; /* it is tried again: nothing is lost */
        else if (got == 0 || (got < 0 && errno != EINTR && errno != ECONNRESET))
            return NO_MORE_EVER;
    }
    return MORE;
}

static void on_control(uv_poll_t *poll, int status, int events) {
    struct sandbox *s = poll->data;
    if (status < 0 || receive_reports(s) == NO_MORE_EVER) {
        uv_poll_stop(poll);
        return;
    }
    if (events & UV_WRITABLE)
        send_and_ask(s);
}

static void drop_group(struct sandbox *s) {
    if (!s->group)
        return;
    cgroup_drop(s->group);
    launcher_sweep(s->launcher);
}

static void drop_cell(struct sandbox *s) {
    if (!s->has_cell)
        return;
    s->has_cell = false;
    drop_fd(&s->cell.control);
    drop_fd(&s->cell.pidfd);
    drop_fd(&s->cell.net);
}

/* Gives back everything but the memory. */
static void release(struct sandbox *s) {
    drop_messages(s, NULL);
    drop_cell(s);
    drop_group(s);
    drop_fd(&s->rules);
    drop_fd(&s->certificate);
    free(steal_pointer(&s->work));
}

static void sandbox_gone(struct sandbox *s) {
    release(s);
    if (!s->unborn)
        s->on.gone(s->arg);
    free(s);
}

/* The sandbox is gone with the last of its handles. */
static void end_handle(struct sandbox *s) {
    if (--s->open_handles == 0)
        sandbox_gone(s);
}

static void on_closed(uv_handle_t *handle) {
    end_handle(handle->data);
}

/* Closes what watches the cell: the number of handles. */
static unsigned close_cell_handles(struct sandbox *s, uv_close_cb closed) {
    unsigned count = 0;
    if (s->watches_control) {
        watch_close(&s->control_poll, closed);
        uv_close((uv_handle_t *)&s->again, closed);
        count += 2;
    }
    if (s->watches_end) {
        watch_close(&s->pid_poll, closed);
        count++;
    }
    s->watches_control = s->watches_end = false;
    return count;
}

/* The sandbox is gone when all handles are closed, which may be at once. */
static void close_handles(struct sandbox *s) {
    s->open_handles++;
    close_cell_handles(s, on_closed);
    if (s->watches_group) {
        watch_close(&s->group_poll, on_closed);
        uv_close((uv_handle_t *)&s->grace, on_closed);
    }
    end_handle(s);
}

/* Reports the end of a sandbox that ran out of memory, if the kernel killed
 * init before it could: with all others (version 2), or alone. */
static void tell_lost_exit(struct sandbox *s) {
    const char *limit = s->group ? cgroup_limit_hit(s->group) : NULL;
    if (!limit || strcmp(limit, "memory") != 0 || s->killed || s->settled)
        return;
    if (!s->main_pid) {
        fail_sandbox(s, 422,
                     "the memory limit is too low for the sandbox itself");
        return;
    }
    struct sandbox_exit e = {.code = -1,
                             .signal = SIGKILL,
                             .pid = s->main_pid,
                             .seconds = monotonic_seconds() - s->spawned_at,
                             .limit = limit};
    cgroup_usage(s->group, &e.usage);
    s->settled = true;
    s->on.exited(s->arg, 1, &e);
    launcher_refill(s->launcher);
}

static void on_left(uv_handle_t *handle);

/* A cell that dies before it enters the root, and does not say why, has most
 * likely died with its forkserver. Nothing was started in it: so another cell
 * gets the same orders. A network is connected to its cell, so it cannot. */
static bool try_another_cell(struct sandbox *s) {
    if (s->started || s->killed || s->settled || s->network || s->airlock ||
        s->trace || s->cells >= CELLS_MAX)
        return false;
    s->connecting = true; /* until there is one */
    s->leaving = close_cell_handles(s, on_left);
    return true;
}

static void on_end(uv_poll_t *poll, int status, int events) {
    struct sandbox *s = poll->data;
    (void)status;
    (void)events;
    if (receive_reports(s) == MORE)
        return; /* called again */
    tell_lost_exit(s);
    if (try_another_cell(s))
        return;
    fail_sandbox(s, 500, "the sandbox ended unexpectedly (out of memory?)");
    if (s->network)
        network_stop(s->network);
    if (s->airlock)
        airlock_finish(s->airlock);
    close_handles(s);
}

static void on_connected(void *arg, const struct fault *why) {
    struct sandbox *s = arg;
    s->connecting = false;
    if (why) {
        fail_sandbox(s, why->status, why->message);
        kill_cell(s);
        return;
    }
    send_messages(s);
    watch_control(s);
}

/* Init finds it at the beginning of the file. */
static void on_certificate(void *arg, const char *pem) {
    struct sandbox *s = arg;
    if (s->certificate >= 0 &&
        pwrite_all(s->certificate, pem, strlen(pem), 0) < 0)
        log_line("a certificate could not be passed on");
}

static void on_airlock_ended(void *arg, bool lost) {
    struct sandbox *s = arg;
    s->airlock = NULL;
    if (lost && !s->killed && !s->settled)
        on_told(s, NULL);
    end_handle(s);
}

static const struct airlock_callbacks airlock_callbacks = {
    on_connected, on_told, on_airlock_ended, on_certificate};

/* The airlock counts as a handle: the sandbox is gone when it is. */
static void start_airlock(struct sandbox *s, uv_loop_t *loop, int net,
                          struct fault *f) {
    int program = launcher_airlock(s->launcher, f);
    if (program < 0) {
        close_fd(net);
        return;
    }
    s->airlock = airlock_start(loop, program, net, steal_fd(&s->rules),
                               &airlock_callbacks, s, f);
    if (s->airlock)
        s->open_handles++;
}

static void connect_cell(struct sandbox *s, uv_loop_t *loop) {
    struct fault f;
    int net = steal_fd(&s->cell.net);
    if (s->rules >= 0)
        start_airlock(s, loop, net, &f);
    else
        s->network = network_start(loop, net, on_connected, s, &f);
    s->connecting = s->network || s->airlock;
    if (!s->connecting)
        on_connected(s, &f);
}

static void on_grace(uv_timer_t *timer) {
    kill_cell(timer->data);
}

/* A process was OOM-killed; the sandbox is no longer consistent. Kill the main
 * process first, so that init reports what it used. */
static void on_group(uv_poll_t *poll, int status, int events) {
    struct sandbox *s = poll->data;
    (void)events;
    cgroup_woken(s->group);
    const char *limit = cgroup_limit_hit(s->group);
    if (status >= 0 && (!limit || strcmp(limit, "memory") != 0))
        return;
    uv_poll_stop(poll);
    if (s->settled || s->killed)
        return;
    if (!s->main_pid || sandbox_signal(s, 1, SIGKILL, NULL) < 0)
        kill_cell(s);
    uv_timer_start(&s->grace, on_grace, MEMORY_GRACE_MS, 0);
}

static int watch_group(struct sandbox *s, uv_loop_t *loop, struct fault *f) {
    int events, fd = cgroup_watch_fd(s->group, &events);
    if (fd < 0)
        return 0;
    s->group_poll.data = s->grace.data = s;
    if (watch_open(loop, &s->group_poll, fd, f) < 0)
        return -1;
    uv_timer_init(loop, &s->grace);
    s->watches_group = true;
    s->open_handles += 2;
    cgroup_woken(s->group);
    uv_poll_start(&s->group_poll, events, on_group);
    return 0;
}

static int watch_cell(struct sandbox *s, uv_loop_t *loop, struct fault *f) {
    s->control_poll.data = s->pid_poll.data = s->again.data = s;
    if (watch_open(loop, &s->control_poll, s->cell.control, f) < 0)
        return -1;
    uv_timer_init(loop, &s->again);
    s->watches_control = true;
    s->open_handles += 2;
    if (watch_open(loop, &s->pid_poll, s->cell.pidfd, f) < 0)
        return -1;
    s->watches_end = true;
    s->open_handles++;
    if (s->group && !s->watches_group && watch_group(s, loop, f) < 0)
        return -1;
    uv_poll_start(&s->pid_poll, UV_READABLE, on_end);
    return 0;
}

static int use_cell(struct sandbox *s, struct cell cell, struct fault *f) {
    uv_loop_t *loop = launcher_loop(s->launcher);
    s->cell = cell;
    s->has_cell = true;
    s->cells++;
    if (watch_cell(s, loop, f) < 0)
        return -1;
    if (s->killed)
        kill_cell(s);
    if (cell.net < 0)
        on_connected(s, NULL);
    else
        connect_cell(s, loop); /* orders wait from here on */
    watch_control(s);
    return 0;
}

static struct sandbox *of_request(struct cell_request *r) {
    return (struct sandbox *)((char *)r - offsetof(struct sandbox, request));
}

static void on_ready(struct cell_request *r, struct cell cell) {
    struct sandbox *s = of_request(r);
    struct fault f;
    if (use_cell(s, cell, &f) == 0)
        return;
    fail_sandbox(s, f.status, f.message);
    close_handles(s);
}

static void on_refused(struct cell_request *r, const struct fault *why) {
    struct sandbox *s = of_request(r);
    fail_sandbox(s, why->status, why->message);
    close_handles(s);
}

/* The last cell is left. */
static void on_left(uv_handle_t *handle) {
    struct sandbox *s = handle->data;
    struct cell cell;
    s->open_handles--;
    if (--s->leaving > 0)
        return;
    drop_cell(s);
    s->unsent = s->first;
    overlay_clean_work(launcher_dir(s->launcher), s->work);
    if (s->killed)
        close_handles(s);
    else if (launcher_take(s->launcher, &s->request, &cell))
        on_ready(&s->request, cell);
}

static int order_mount(struct sandbox *s, const struct sandbox_mount *m,
                       struct fault *f) {
    struct order o = {.type = ORDER_MOUNT, .argc = m->volume ? 0 : 1};
    const char *const names[] = {m->target, m->volume ? m->volume : ""};
    const struct strings set = {names, 2};
    int fd = m->volume ? -1 : fcntl(m->tree, F_DUPFD_CLOEXEC, 0);
    if (!m->volume && fd < 0)
        return fault_errno(f, "cannot pass on a mount");
    return sandbox_order(s, &o, &set, 1, &fd, (int)o.argc, f);
}

static int order_trace(struct sandbox *s, struct fault *f) {
    struct order o = {.type = ORDER_TRACE};
    int fd = asking_filter(launcher_filter(s->launcher),
                           s->tracing == TRACE_FILES, f);
    return fd < 0 ? -1 : sandbox_order(s, &o, NULL, 0, &fd, 1, f);
}

static int order_setup(struct sandbox *s, const struct sandbox_spec *spec,
                       struct fault *f) {
    struct order o = {.type = ORDER_SETUP,
                      .argc = spec->lower_count,
                      .connected = spec->networking,
                      .max_file_bytes = spec->max_file_bytes,
                      .max_processes = spec->max_processes,
                      .shm_bytes = spec->shm_bytes,
                      .image_etc = spec->image_etc};
    char *config CLEANUP(cleanup_free) =
        launcher_config(s->launcher, spec->hostname, spec->shm_bytes);
    if (!config)
        return fault_memory(f);
    const char *const first[] = {spec->hostname, spec->upper, spec->work,
                                 config};
    const struct strings sets[] = {{first, 4},
                                   {spec->lowers, spec->lower_count}};
    int group_fds[CGROUP_KINDS], count = 0;
    if (s->group && (count = cgroup_open_fds(s->group, group_fds, f)) < 0)
        return -1;
    o.groups = (uint32_t)count;
    o.processors = (uint32_t)ceil(spec->limits.of[CGROUP_CPU]);
    o.first_processor = launcher_processor(s->launcher);
    return sandbox_order(s, &o, sets, 2, group_fds, count, f);
}

/* Makes what must be there before a cell is taken. */
static int prepare(struct sandbox *s, const struct sandbox_spec *spec,
                   struct fault *f) {
    s->work = strdup(spec->work);
    if (!s->work)
        return fault_memory(f);
    if (limits_any(&spec->limits)) {
        s->group = cgroup_make(launcher_cgroups(s->launcher), &spec->limits, f);
        if (!s->group)
            return -1;
    }
    if (spec->rules && (s->rules = airlock_rules(spec->rules, f)) < 0)
        return -1;
    if (spec->trusts &&
        (s->certificate = memfd_create("certificate", MFD_CLOEXEC)) < 0)
        return fault_errno(f, "cannot pass on a certificate");
    for (size_t i = 0; i < spec->mount_count; i++)
        if (order_mount(s, &spec->mounts[i], f) < 0)
            return -1;
    s->tracing = spec->tracing;
    if (s->tracing != TRACE_NOTHING && order_trace(s, f) < 0)
        return -1;
    return order_setup(s, spec, f);
}

struct sandbox *sandbox_start(struct launcher *l,
                              const struct sandbox_spec *spec,
                              const struct sandbox_callbacks *callbacks,
                              void *arg, struct fault *f) {
    if (strlen(spec->hostname) > HOST_NAME_MAX) {
        fault_set(f, 422, "the host name has more than %d bytes",
                  HOST_NAME_MAX);
        return NULL;
    }
    struct sandbox *s = calloc(1, sizeof *s);
    if (!s) {
        fault_memory(f);
        return NULL;
    }
    s->launcher = l;
    s->on = *callbacks;
    s->arg = arg;
    s->last = &s->first;
    s->rules = s->certificate = -1;
    s->request.ready = on_ready;
    s->request.refused = on_refused;
    s->request.connected = spec->networking;
    if (prepare(s, spec, f) < 0) {
        release(s);
        free(s);
        return NULL;
    }
    struct cell cell;
    if (!launcher_take(l, &s->request, &cell) || use_cell(s, cell, f) == 0)
        return s;
    s->unborn = true;
    close_handles(s);
    return NULL;
}

bool sandbox_is_full(struct sandbox *s) {
    s->asked = s->asked || s->waiting >= WAITING_MAX;
    return s->asked;
}

int sandbox_answer(struct sandbox *s, const char *line, size_t length,
                   struct fault *f) {
    if (!s->airlock)
        return fault_set(f, 409, "the airlock of the run has ended");
    return airlock_answer(s->airlock, line, length, f);
}

int sandbox_trust(struct sandbox *s, struct fault *f) {
    struct order o = {.type = ORDER_TRUST};
    int fd = fcntl(s->certificate, F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return fault_errno(f, "cannot pass on a certificate");
    return sandbox_order(s, &o, NULL, 0, &fd, 1, f);
}

int sandbox_open_freezer(const struct sandbox *s) {
    return s->group ? cgroup_open_freezer(s->group) : -1;
}

bool sandbox_has_runtime(const struct sandbox *s) {
    return launcher_has_runtime(s->launcher);
}

int sandbox_open_pidfd(const struct sandbox *s) {
    return s->has_cell ? fcntl(s->cell.pidfd, F_DUPFD_CLOEXEC, 0) : -1;
}

void sandbox_open_groups(const struct sandbox *s, struct cgroup_files *out) {
    *out = (struct cgroup_files){-1, -1, false};
    if (s->group)
        cgroup_open_files(s->group, out);
}

void sandbox_hand_over(struct sandbox *s,
                       const struct sandbox_callbacks *callbacks, void *arg) {
    s->on = *callbacks;
    s->arg = arg;
}

bool sandbox_is_usable(const struct sandbox *s) {
    return !s->killed && !s->settled &&
           (!s->has_cell || cell_is_usable(&s->cell));
}

void sandbox_kill(struct sandbox *s) {
    if (s->killed)
        return;
    s->killed = true;
    kill_cell(s);
}
