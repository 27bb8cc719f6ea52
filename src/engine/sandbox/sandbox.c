/* sandbox.c: see sandbox.h. The loop's side of one sandbox: orders to its
 * init, reports from it, and its end. */
#define _GNU_SOURCE
#include "sandbox/sandbox.h"
#include "base/clock.h"
#include "base/descriptor.h"
#include "base/scope.h"
#include "base/turn.h"
#include "init/protocol.h"
#include "sandbox/launcher.h"
#include "sandbox/network.h"
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

/* So long init may take to end what ran out of memory. */
enum { MEMORY_GRACE_MS = 2000 };
/* The system has no room for a message now. */
enum { AGAIN_MS = 10 };
/* In one turn of the loop. */
enum { REPORTS_MAX = 32 };
/* Orders with descriptors in them. */
enum { WAITING_MAX = 16 };

/* An order on its way. Owns its descriptors. */
struct letter {
    struct letter *next;
    int fds[ORDER_FDS_MAX];
    int fd_count;
    size_t length;
    char packet[]; /* struct order, strings */
};

struct sandbox {
    struct launcher *launcher;
    struct sandbox_callbacks on;
    void *arg;
    struct cell_request request;
    struct cell cell;
    bool has_cell;
    struct network *network; /* NULL: the loopback interface alone */
    bool connecting;         /* orders wait for it */
    bool killed;             /* by sandbox_kill: no word about why it ended */
    bool settled;            /* the main process ended, or failed was called */
    struct letter *first, **last;
    size_t waiting;       /* letters */
    bool asked;           /* fed() is to be called */
    struct cgroup *group; /* NULL: no limits */
    bool watches_control, watches_end, watches_group;
    bool unborn;  /* sandbox_start says no: nobody waits for its end */
    int main_pid; /* inside; 0: not spawned */
    double spawned_at;
    uv_poll_t control_poll, pid_poll, group_poll;
    uv_timer_t grace; /* open with group_poll */
    uv_timer_t again; /* open with control_poll */
    int open_handles;
};

static void letter_free(struct letter *l) {
    for (int i = 0; i < l->fd_count; i++)
        drop_fd(&l->fds[i]);
    free(l);
}

static void drop_letters(struct sandbox *s) {
    while (s->first) {
        struct letter *l = s->first;
        s->first = l->next;
        letter_free(l);
    }
    s->last = &s->first;
    s->waiting = 0;
}

enum sending { SENT, FULL, NO_ROOM, NEVER };

/* FULL: the socket; NO_ROOM: the system, whose sockets hold too many
 * descriptors already; NEVER: nobody will read it. */
static enum sending letter_send(struct sandbox *s, struct letter *l) {
    union {
        char space[CMSG_SPACE(ORDER_FDS_MAX * sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    struct iovec part = {.iov_base = l->packet, .iov_len = l->length};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (l->fd_count > 0) {
        message.msg_control = control.space;
        message.msg_controllen = CMSG_SPACE(l->fd_count * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(l->fd_count * sizeof(int));
        memcpy(CMSG_DATA(c), l->fds, l->fd_count * sizeof(int));
    }
    while (sendmsg(s->cell.control, &message, MSG_NOSIGNAL) < 0) {
        if (errno == EAGAIN)
            return FULL;
        if (errno == ETOOMANYREFS || errno == ENOBUFS || errno == ENOMEM)
            return NO_ROOM;
        if (errno != EINTR)
            return NEVER;
    }
    return SENT;
}

static void on_control(uv_poll_t *poll, int status, int events);

static void watch_control(struct sandbox *s) {
    bool waiting = (s->first || s->asked) && !s->connecting &&
                   !uv_is_active((uv_handle_t *)&s->again);
    int events = UV_READABLE | (waiting ? UV_WRITABLE : 0);
    uv_poll_start(&s->control_poll, events, on_control);
}

static void on_again(uv_timer_t *timer);

/* Sends what is queued, as far as the socket takes it and others need not wait.
 */
static void send_letters(struct sandbox *s) {
    while (s->first && !turn_is_long(launcher_loop(s->launcher))) {
        enum sending how = letter_send(s, s->first);
        if (how == NEVER)
            drop_letters(s); /* the pidfd will tell */
        if (how == NO_ROOM)
            uv_timer_start(&s->again, on_again, AGAIN_MS, 0);
        if (how != SENT)
            return;
        struct letter *sent = s->first;
        s->first = sent->next;
        if (!s->first)
            s->last = &s->first;
        letter_free(sent);
        s->waiting--;
    }
}

/* The same from the loop, where others may be given. */
static void send_and_ask(struct sandbox *s) {
    send_letters(s);
    bool ask = !s->first && s->asked;
    s->asked = s->asked && !ask;
    if (ask && !s->killed && !s->settled)
        s->on.fed(s->arg);
    watch_control(s);
}

static void on_again(uv_timer_t *timer) {
    send_and_ask(timer->data);
}

static void enqueue(struct sandbox *s, struct letter *l) {
    bool was_empty = !s->first;
    *s->last = l;
    s->last = &l->next;
    s->waiting++;
    if (!s->has_cell || s->connecting || !was_empty)
        return;
    send_letters(s);
    if (s->first)
        watch_control(s);
}

/* The strings of an order, in its packet or, when long, in a memfd. */
struct strings {
    const char *const *list;
    size_t count;
};

static size_t strings_size(const struct strings *sets, size_t count) {
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < sets[i].count; j++)
            size += strlen(sets[i].list[j]) + 1;
    return size;
}

static void strings_copy(const struct strings *sets, size_t count, char *to) {
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < sets[i].count; j++)
            to = stpcpy(to, sets[i].list[j]) + 1;
}

static int strings_memfd(const struct strings *sets, size_t count, size_t size,
                         struct fault *f) {
    int fd CLEANUP(cleanup_close) = memfd_create("order", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, size) < 0)
        return fault_errno(f, "cannot pass on a long command");
    void *map = mmap(NULL, size, PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return fault_errno(f, "cannot pass on a long command");
    strings_copy(sets, count, map);
    munmap(map, size);
    return steal_fd(&fd);
}

/* Consumes the descriptors, also on failure. */
static struct letter *letter_new(struct order *o, const struct strings *sets,
                                 size_t count, const int *fds, int fd_count,
                                 struct fault *f) {
    size_t size = strings_size(sets, count);
    bool inside = size <= ORDER_INLINE_MAX;
    size_t length = sizeof *o + (inside ? size : 0);
    struct letter *l = calloc(1, sizeof *l + length);
    int memfd = -1;
    if (l && !inside)
        memfd = strings_memfd(sets, count, size, f);
    if (!l || (!inside && memfd < 0)) {
        if (!l)
            fault_memory(f);
        free(l);
        for (int i = 0; i < fd_count; i++)
            close_fd(fds[i]);
        return NULL;
    }
    o->payload = size;
    o->in_memfd = !inside;
    l->length = length;
    memcpy(l->packet, o, sizeof *o);
    if (inside)
        strings_copy(sets, count, l->packet + sizeof *o);
    for (int i = 0; i < fd_count; i++)
        l->fds[l->fd_count++] = fds[i];
    if (memfd >= 0)
        l->fds[l->fd_count++] = memfd;
    return l;
}

/* Consumes the descriptors whatever the outcome. */
static int give_order(struct sandbox *s, struct order *o,
                      const struct strings *sets, size_t count, const int *fds,
                      int fd_count, struct fault *f) {
    struct letter *l = letter_new(o, sets, count, fds, fd_count, f);
    if (!l)
        return -1;
    if (s->killed || s->settled) {
        letter_free(l);
        return fault_set(f, 409, "the sandbox has ended");
    }
    enqueue(s, l);
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
}

static void tell_spawned(struct sandbox *s, struct report *r) {
    r->home[sizeof r->home - 1] = r->user[sizeof r->user - 1] = '\0';
    const struct sandbox_account a = {.uid = r->uid,
                                      .gid = r->gid,
                                      .home = *r->home ? r->home : NULL,
                                      .user = *r->user ? r->user : NULL};
    if (r->spid == 1) {
        s->main_pid = r->pid;
        s->spawned_at = monotonic_seconds();
    }
    s->on.spawned(s->arg, r->spid, r->pid, &a);
}

static void handle_report(struct sandbox *s, struct report *r) {
    struct fault f;
    r->message[sizeof r->message - 1] = '\0';
    switch (r->type) {
    case REPORT_STARTED:
        s->on.started(s->arg);
        break;
    case REPORT_SPAWNED:
        tell_spawned(s, r);
        break;
    case REPORT_SPAWN_FAILED:
        fault_set(&f, r->status, "%s", r->message);
        s->on.spawn_failed(s->arg, r->spid, &f);
        break;
    case REPORT_EXIT:
        tell_exit(s, r);
        break;
    case REPORT_FAULT:
        fail_sandbox(s, r->status, r->message);
        break;
    }
}

enum reports { MORE, NO_MORE_NOW, NO_MORE_EVER };

/* Reads reports, as far as others need not wait. ECONNRESET says that init
 * ended with orders unread; what it reported before comes after. */
static enum reports receive_reports(struct sandbox *s) {
    for (int i = 0; i < REPORTS_MAX; i++) {
        struct report r;
        if (i > 0 && turn_is_long(launcher_loop(s->launcher)))
            break;
        ssize_t got = recv(s->cell.control, &r, sizeof r, MSG_DONTWAIT);
        if (got == sizeof r && !s->killed && !s->settled)
            handle_report(s, &r);
        else if (got < 0 && errno == EAGAIN)
            return NO_MORE_NOW;
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

static void sandbox_gone(struct sandbox *s) {
    drop_letters(s);
    if (s->has_cell) {
        drop_fd(&s->cell.control);
        drop_fd(&s->cell.pidfd);
        drop_fd(&s->cell.net);
    }
    drop_group(s);
    if (!s->unborn)
        s->on.gone(s->arg);
    free(s);
}

static void on_closed(uv_handle_t *handle) {
    struct sandbox *s = handle->data;
    if (--s->open_handles == 0)
        sandbox_gone(s);
}

/* It is gone when all handles are closed, which may be at once. */
static void close_handles(struct sandbox *s) {
    s->open_handles++;
    if (s->watches_control) {
        watch_close(&s->control_poll, on_closed);
        uv_close((uv_handle_t *)&s->again, on_closed);
    }
    if (s->watches_end)
        watch_close(&s->pid_poll, on_closed);
    if (s->watches_group) {
        watch_close(&s->group_poll, on_closed);
        uv_close((uv_handle_t *)&s->grace, on_closed);
    }
    if (--s->open_handles == 0)
        sandbox_gone(s);
}

/* Memory ran out, and init, the sandbox's last reporter, went with the rest (as
 * version 2 has it) or was chosen. */
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

static void on_end(uv_poll_t *poll, int status, int events) {
    struct sandbox *s = poll->data;
    (void)status;
    (void)events;
    if (receive_reports(s) == MORE)
        return; /* called again */
    tell_lost_exit(s);
    fail_sandbox(s, 500, "the sandbox ended unexpectedly (out of memory?)");
    if (s->network)
        network_stop(s->network);
    close_handles(s);
}

static void kill_cell(struct sandbox *s) {
    syscall(SYS_pidfd_send_signal, s->cell.pidfd, SIGKILL, NULL, 0);
}

static void on_connected(void *arg, const struct fault *why) {
    struct sandbox *s = arg;
    s->connecting = false;
    if (why) {
        fail_sandbox(s, why->status, why->message);
        kill_cell(s);
        return;
    }
    send_letters(s);
    watch_control(s);
}

static void connect_cell(struct sandbox *s, uv_loop_t *loop) {
    struct fault f;
    s->network =
        network_start(loop, steal_fd(&s->cell.net), on_connected, s, &f);
    s->connecting = s->network != NULL;
    if (!s->network)
        on_connected(s, &f);
}

static void on_grace(uv_timer_t *timer) {
    kill_cell(timer->data);
}

/* A process of it was killed for want of memory: what is left is no whole.
 * Killing the main process alone lets init tell what it used. */
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
    if (s->group && watch_group(s, loop, f) < 0)
        return -1;
    uv_poll_start(&s->pid_poll, UV_READABLE, on_end);
    return 0;
}

static int use_cell(struct sandbox *s, struct cell cell, struct fault *f) {
    uv_loop_t *loop = launcher_loop(s->launcher);
    s->cell = cell;
    s->has_cell = true;
    if (watch_cell(s, loop, f) < 0)
        return -1;
    if (s->killed)
        kill_cell(s);
    watch_control(s);
    if (cell.net >= 0)
        connect_cell(s, loop);
    else
        on_connected(s, NULL);
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
    sandbox_gone(s);
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
    int doors[CGROUP_KINDS], count = 0;
    if (s->group && (count = cgroup_doors(s->group, doors, f)) < 0)
        return -1;
    o.groups = (uint32_t)count;
    o.processors = (uint32_t)ceil(spec->limits.cpus);
    o.first_processor = launcher_processor(s->launcher);
    return give_order(s, &o, sets, 2, doors, count, f);
}

static bool is_limited(const struct limits *l) {
    return l->memory_bytes > 0 || l->pids > 0 || l->cpus > 0;
}

/* What must be there before a cell is taken. */
static int prepare(struct sandbox *s, const struct sandbox_spec *spec,
                   struct fault *f) {
    if (is_limited(&spec->limits)) {
        s->group = cgroup_make(launcher_cgroups(s->launcher), &spec->limits, f);
        if (!s->group)
            return -1;
    }
    if (order_setup(s, spec, f) == 0)
        return 0;
    drop_group(s);
    return -1;
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
    s->request.ready = on_ready;
    s->request.refused = on_refused;
    s->request.connected = spec->networking;
    if (prepare(s, spec, f) < 0) {
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

int sandbox_put(struct sandbox *s, const struct sandbox_file *file, int fd,
                struct fault *f) {
    struct order o = {.type = ORDER_PUT,
                      .mode = file->mode,
                      .uid = file->uid,
                      .gid = file->gid,
                      .argc = (uint32_t)file->xattr_count};
    const struct strings sets[] = {{&file->path, 1},
                                   {file->xattrs, file->xattr_count}};
    return give_order(s, &o, sets, 2, &fd, 1, f);
}

static size_t count_strings(char *const *list) {
    size_t n = 0;
    while (list[n])
        n++;
    return n;
}

int sandbox_spawn(struct sandbox *s, int spid, const struct sandbox_process *p,
                  struct fault *f) {
    struct order o = {.type = ORDER_SPAWN,
                      .spid = spid,
                      .uid = p->uid,
                      .gid = p->gid,
                      .has_gid = p->has_gid,
                      .defaults = p->defaults,
                      .argc = count_strings(p->argv),
                      .envc = count_strings(p->env)};
    const char *const first[] = {p->cwd, p->user ? p->user : ""};
    const struct strings sets[] = {{first, 2},
                                   {(const char *const *)p->argv, o.argc},
                                   {(const char *const *)p->env, o.envc}};
    const int given[] = {p->stdin_fd, p->stdout_fd, p->stderr_fd};
    int fds[3], count = 0;
    for (int i = 0; i < 3; i++) {
        if (given[i] < 0)
            continue;
        o.stdio |= 1U << i;
        fds[count++] = given[i];
    }
    return give_order(s, &o, sets, 3, fds, count, f);
}

int sandbox_signal(struct sandbox *s, int spid, int signal, struct fault *f) {
    struct order o = {.type = ORDER_SIGNAL, .spid = spid, .signal = signal};
    return give_order(s, &o, NULL, 0, NULL, 0, f);
}

void sandbox_kill(struct sandbox *s) {
    if (s->killed)
        return;
    s->killed = true;
    if (s->has_cell)
        kill_cell(s);
}
