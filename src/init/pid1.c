#define _GNU_SOURCE
#include "init/pid1.h"
#include "init/account.h"
#include "init/cell.h"
#include "init/family.h"
#include "init/groups.h"
#include "init/mounts.h"
#include "init/packet.h"
#include "init/pause.h"
#include "init/process.h"
#include "init/protocol.h"
#include "init/put.h"
#include "init/report.h"
#include "init/runtime.h"
#include "init/socket.h"
#include "init/terminal.h"
#include "init/trust.h"
#include "init/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct live_process {
    pid_t pid;
    int spid;
    double started;
};

struct pid1 {
    int control;
    int null; /* /dev/null, once entered; else -1 */
    const struct cell_limits *limits;
    struct cell_limits own; /* what `limits` is, if this sandbox is traced */
    struct mounts mounts;   /* until the root is entered */
    struct live_process *children;
    size_t count, capacity;
    struct pause pause;
    struct watches watches;
    bool held; /* spid 1 is this process */
    double held_since;
};

/* An order with its strings and descriptors. */
struct incoming_message {
    struct order order;
    char *strings, *end;
    char *mapped; /* what strings point into, if a memfd */
    int fds[ORDER_FDS_MAX];
    int used_fds;
};

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

/* The next string of the order; NULL when there is none. */
static char *next_string(struct incoming_message *m) {
    if (m->strings >= m->end)
        return NULL;
    char *text = m->strings, *nul = memchr(text, '\0', m->end - text);
    if (!nul)
        return NULL;
    m->strings = nul + 1;
    return text;
}

/* `count` strings in a NULL-terminated array with a spare slot before it (for a
 * shell, see process.h) and two behind it (for settle_account()); release with
 * free_strings(). */
static char **take_strings(struct incoming_message *m, size_t count) {
    if (count > (size_t)(m->end - m->strings))
        return NULL;
    char **slots = calloc(count + 4, sizeof *slots);
    for (size_t i = 0; slots && i < count; i++) {
        slots[i + 1] = next_string(m);
        if (!slots[i + 1]) {
            free(slots);
            return NULL;
        }
    }
    return slots ? slots + 1 : NULL;
}

static void free_strings(char **strings) {
    if (strings)
        free(strings - 1);
}

static void forget(struct pid1 *s, size_t i) {
    s->children[i] = s->children[--s->count];
}

static int remember(struct pid1 *s, pid_t pid, int spid, double started) {
    if (s->count == s->capacity) {
        size_t capacity = s->capacity ? 2 * s->capacity : 16;
        struct live_process *grown =
            realloc(s->children, capacity * sizeof *grown);
        if (!grown)
            return -1;
        s->children = grown;
        s->capacity = capacity;
    }
    s->children[s->count++] = (struct live_process){pid, spid, started};
    return 0;
}

static void report_exit(const struct pid1 *s, const struct live_process *c,
                        int status, const struct rusage *usage,
                        int background) {
    struct report r = {.type = REPORT_EXIT,
                       .spid = c->spid,
                       .pid = c->pid,
                       .wait_status = status,
                       .background_killed = background,
                       .seconds = now() - c->started,
                       .usage = *usage};
    report_send(s->control, &r);
}

/* Reports the end of `pid` if an order had started it. */
static bool child_ended(struct pid1 *s, pid_t pid, int status,
                        const struct rusage *usage) {
    for (size_t i = 0; i < s->count; i++) {
        if (s->children[i].pid != pid)
            continue;
        report_exit(s, &s->children[i], status, usage, 0);
        forget(s, i);
        return true;
    }
    return false;
}

/* wait4 for any process that ended. A process that asked to be traced by its
 * parent, which is this one, is released when it stops: so SIGCHLD must also
 * tell of stops. */
static pid_t wait_end(int *status, int flags, struct rusage *usage) {
    for (;;) {
        pid_t pid = wait4(-1, status, flags, usage);
        if (pid < 0 && errno == EINTR)
            continue;
        if (pid <= 0 || !WIFSTOPPED(*status))
            return pid;
        int signal = WSTOPSIG(*status);
        ptrace(PTRACE_DETACH, pid, NULL, signal == SIGTRAP ? 0 : signal);
    }
}

/* Kill the processes that the main process left behind, and wait until they are
 * gone; how many were killed. Processes forked meanwhile are killed in the next
 * round. */
static int kill_all(struct pid1 *s) {
    int killed = 0, status;
    struct rusage usage;
    while (kill(-1, SIGKILL) == 0 || errno != ESRCH) {
        pid_t pid = wait_end(&status, 0, &usage);
        if (pid < 0)
            break;
        do {
            if (!s->held) /* their end is that of the sandbox */
                child_ended(s, pid, status, &usage);
            killed += WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
        } while ((pid = wait_end(&status, WNOHANG, &usage)) > 0);
    }
    return killed;
}

_Noreturn static void main_ended(struct pid1 *s, struct live_process main,
                                 int status, const struct rusage *usage) {
    double elapsed = now() - main.started;
    int background = kill_all(s);
    main.started = now() - elapsed;
    report_exit(s, &main, status, usage, background);
    watches_finish(&s->watches);
    _exit(0);
}

static void reap(struct pid1 *s) {
    int status;
    struct rusage usage;
    pid_t pid;
    while ((pid = wait_end(&status, WNOHANG, &usage)) > 0) {
        for (size_t i = 0; i < s->count; i++) {
            if (s->children[i].pid == pid && s->children[i].spid == 1) {
                struct live_process main = s->children[i];
                forget(s, i);
                main_ended(s, main, status, &usage);
            }
        }
        child_ended(s, pid, status, &usage);
    }
}

static int broken_order(struct failure *f) {
    return fail(f, 500, "the sandbox's init got an order it cannot read");
}

/* Until now the standard streams were the host's /dev/null. */
static int open_null(struct pid1 *s, struct failure *f) {
    s->null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int i = 0; i < 3; i++)
        if (s->null < 0 || dup2(s->null, i) < 0)
            return fail_errno(f, "cannot open /dev/null");
    return 0;
}

/* Run on `count` processors, so that nproc tells how many there are to use. The
 * real limit is the quota: processes may spread it over all processors. */
static void stay_on(uint32_t count, uint32_t first) {
    cpu_set_t all, chosen;
    if (count == 0 || sched_getaffinity(0, sizeof all, &all) < 0 ||
        (uint32_t)CPU_COUNT(&all) <= count)
        return;
    CPU_ZERO(&chosen);
    for (uint32_t i = first % CPU_SETSIZE; count > 0; i = (i + 1) % CPU_SETSIZE)
        if (CPU_ISSET(i, &all)) {
            CPU_SET(i, &chosen);
            CPU_CLR(i, &all);
            count--;
        }
    if (sched_setaffinity(0, sizeof chosen, &chosen) < 0)
        errno = 0; /* then all of them share the quota */
}

static int enter(const struct pid1 *s, const struct incoming_message *m,
                 const struct root_spec *root, struct failure *f) {
    uint32_t groups = m->order.groups;
    stay_on(m->order.processors, m->order.first_processor);
    if (s->limits->runtime)
        return runtime_enter(s->limits, root, m->fds, groups, f);
    if (groups > 0 &&
        (groups_join(m->fds, groups, f) < 0 || groups_hide(f) < 0))
        return -1;
    int listener = -1;
    if (cell_enter(s->limits, root, &listener, f) < 0)
        return -1;
    report_trace(s->control, listener);
    return 0;
}

/* The root is entered: accept other orders. */
static int begin(struct pid1 *s, struct failure *f) {
    struct report r = {.type = REPORT_STARTED};
    if (open_null(s, f) < 0)
        return -1;
    report_send(s->control, &r);
    return 0;
}

static int handle_setup(struct pid1 *s, struct incoming_message *m,
                        struct failure *f) {
    struct root_spec root = {.hostname = next_string(m),
                             .upper = next_string(m),
                             .work = next_string(m),
                             .config = next_string(m),
                             .lower_count = m->order.argc,
                             .connected = m->order.connected,
                             .max_file_bytes = m->order.max_file_bytes,
                             .max_processes = m->order.max_processes,
                             .shm_bytes = m->order.shm_bytes,
                             .image_etc = m->order.image_etc,
                             .mounts = &s->mounts};
    char **lowers = take_strings(m, root.lower_count);
    root.lowers = (const char *const *)lowers;
    int rc = !root.config || !lowers || s->null >= 0 ||
                     m->order.groups >= ORDER_FDS_MAX
                 ? broken_order(f)
                 : enter(s, m, &root, f);
    free_strings(lowers);
    return rc < 0 ? -1 : begin(s, f);
}

static int handle_mount(struct pid1 *s, struct incoming_message *m,
                        struct failure *f) {
    const char *target = next_string(m), *volume = next_string(m);
    bool from_host = m->fds[0] >= 0 && !m->order.in_memfd;
    if (!target || !volume || s->null >= 0 || *target != '/' ||
        from_host == (*volume != '\0'))
        return broken_order(f);
    int tree = m->fds[0];
    m->fds[0] = -1;
    return mounts_add(&s->mounts, target, volume, tree, f);
}

static int handle_trace(struct pid1 *s, struct incoming_message *m,
                        struct failure *f) {
    if (s->null >= 0)
        return broken_order(f);
    s->own = *s->limits;
    s->own.traced = true;
    s->limits = &s->own;
    return cell_load_filter(&s->own, m->fds[0], f);
}

static int handle_put(struct incoming_message *m, struct failure *f) {
    const char *path = next_string(m);
    char **attributes = take_strings(m, m->order.argc);
    struct put_spec p = {.path = path,
                         .mode = m->order.mode,
                         .uid = m->order.uid,
                         .gid = m->order.gid,
                         .attributes = attributes,
                         .attribute_count = m->order.argc};
    int rc = path && attributes && m->fds[0] >= 0 ? put_file(&p, m->fds[0], f)
                                                  : broken_order(f);
    free_strings(attributes);
    return rc;
}

/* A user that does not exist is a matter of the process that follows. */
static int handle_give(struct incoming_message *m, struct failure *f) {
    const char *target = next_string(m), *user = next_string(m);
    struct account a = {.uid = m->order.uid, .gid = m->order.gid};
    struct failure none;
    if (!target || !user)
        return broken_order(f);
    if (account_find(user, m->order.has_gid, &a, &none) < 0)
        return 0;
    return mounts_give(target, a.uid, a.gid, f);
}

/* Variables that the account adds to the environment; "": none. */
struct extra {
    char home[sizeof "HOME=" + ACCOUNT_HOME_SIZE];
    char user[sizeof "USER=" + ACCOUNT_NAME_SIZE];
};

/* Looks up the user, and adds HOME and USER to the environment as the order
 * wants it. */
static int settle_account(const struct order *o, const char *user,
                          struct exec_spec *p, struct extra *extra,
                          struct failure *f) {
    struct account *a = &p->account;
    char **end = p->env + o->envc;
    *a = (struct account){.uid = o->uid, .gid = o->gid};
    if (account_find(user, o->has_gid, a, f) < 0)
        return -1;
    if (o->defaults & DEFAULT_HOME) {
        snprintf(extra->home, sizeof extra->home, "HOME=%s", a->home);
        *end++ = extra->home;
    }
    if (o->defaults & DEFAULT_USER && *a->name) {
        snprintf(extra->user, sizeof extra->user, "USER=%s", a->name);
        *end = extra->user;
    }
    return 0;
}

static void report_spawn(const struct pid1 *s, int spid, int pid,
                         const struct account *a, const struct extra *extra,
                         int terminal, const struct failure *f) {
    struct report r = {.type = pid < 0 ? REPORT_SPAWN_FAILED : REPORT_SPAWNED,
                       .spid = spid,
                       .pid = pid,
                       .uid = a->uid,
                       .gid = a->gid,
                       .terminal = pid >= 0 && terminal >= 0,
                       .status = f->status};
    memcpy(r.message, f->message, sizeof r.message);
    if (*extra->home)
        memcpy(r.home, a->home, sizeof r.home);
    if (*extra->user)
        memcpy(r.user, a->name, sizeof r.user);
    report_send_with(s->control, &r, r.terminal ? terminal : -1);
}

/* Open the terminal that the order asks for. */
static int settle_terminal(const struct order *o, struct exec_spec *p,
                           struct terminal *t, struct failure *f) {
    if (o->rows == 0)
        return 0;
    if (terminal_open(t, o->rows, o->columns, p->account.uid, f) < 0)
        return -1;
    p->terminal = true;
    for (int i = 0; i < 3; i++)
        p->stdio[i] = t->slave;
    return 0;
}

static int spawn(struct pid1 *s, const struct order *o, const char *user,
                 struct exec_spec *p, struct failure *f) {
    struct extra extra = {.home = ""};
    struct terminal t = {-1, -1};
    double started = now();
    int pid = settle_account(o, user, p, &extra, f) < 0 ||
                      settle_terminal(o, p, &t, f) < 0
                  ? -1
                  : process_start(p, f);
    int rc = 0;
    if (pid >= 0 && remember(s, pid, o->spid, started) < 0)
        rc = fail(f, 500, "out of memory");
    else
        report_spawn(s, o->spid, pid, &p->account, &extra, t.master, f);
    terminal_close(&t); /* its end is when the sandbox has closed the slave */
    return rc;
}

static int handle_spawn(struct pid1 *s, struct incoming_message *m,
                        struct failure *f) {
    const struct order *o = &m->order;
    struct exec_spec p = {.cwd = next_string(m), .spid = o->spid};
    const char *user = next_string(m);
    p.argv = take_strings(m, o->argc);
    p.env = take_strings(m, o->envc);
    for (int i = 0, fd = 0; i < 3; i++)
        p.stdio[i] = o->stdio & 1U << i ? m->fds[fd++] : s->null;
    int rc = !user || !p.argv || !p.env || o->argc == 0
                 ? broken_order(f)
                 : spawn(s, o, user, &p, f);
    free_strings(p.argv);
    free_strings(p.env);
    return rc;
}

/* The sandbox is open until spid 1 ends, and no process of it can end that. */
static void handle_hold(struct pid1 *s) {
    const struct account a = {0};
    const struct extra none = {.home = ""};
    const struct failure ok = {0};
    s->held = true;
    s->held_since = now();
    report_spawn(s, 1, 1, &a, &none, -1, &ok);
}

/* SIGKILL is an end that was not wanted; anything else asks for one. */
_Noreturn static void end_hold(struct pid1 *s, int signal) {
    const struct live_process self = {1, 1, s->held_since};
    struct rusage usage;
    getrusage(RUSAGE_CHILDREN, &usage);
    main_ended(s, self, signal == SIGKILL ? SIGKILL : 0, &usage);
}

/* Signal the whole process group, as a terminal does. SIGKILL goes to the
 * command itself before: if it has left its group, it could otherwise see that
 * others were killed and end by itself, so that nobody would know why it ended.
 */
static void signal_group(pid_t pid, int signal) {
    if (signal == SIGKILL)
        kill(pid, signal);
    if (kill(-pid, signal) < 0)
        kill(pid, signal);
}

/* Other signals than CONT wait by themselves while the processes are paused. */
static void handle_signal(struct pid1 *s, const struct order *o) {
    if (s->pause.on && o->signal == SIGCONT)
        return;
    if (s->held && o->spid == 1)
        end_hold(s, o->signal);
    for (size_t i = 0; i < s->count; i++)
        if (s->children[i].spid == o->spid)
            signal_group(s->children[i].pid, o->signal);
    if (o->family)
        family_signal(o->spid, o->signal);
}

static void handle_pause(struct pid1 *s) {
    pause_all(&s->pause, now());
}

/* Tell when all have stopped, or that one does not. */
static void look_at_pause(struct pid1 *s) {
    struct report r = {.type = REPORT_PAUSED};
    enum pause_news news = pause_look(&s->pause, now());
    if (news == PAUSE_NONE)
        return;
    r.status = news == PAUSE_LATE ? 503 : 0;
    report_send(s->control, &r);
}

/* The engine may ask for one that cannot be had: it is told why. */
static int handle_socket(struct pid1 *s, struct incoming_message *m,
                         struct failure *f) {
    const char *path = next_string(m);
    struct failure why = {0};
    if (!path)
        return broken_order(f);
    int fd = socket_make(m->order.kind, path, &why);
    struct report r = {
        .type = REPORT_SOCKET, .id = m->order.id, .status = why.status};
    memcpy(r.message, why.message, sizeof r.message);
    report_send_fd(s->control, &r, fd);
    if (fd >= 0)
        close(fd);
    return 0;
}

static int handle_watch(struct pid1 *s, struct incoming_message *m,
                        struct failure *f) {
    const char *path = next_string(m);
    if (!path)
        return broken_order(f);
    watch_start(&s->watches, path, m->order.recursive, m->fds[0]);
    m->fds[0] = -1;
    return 0;
}

static int carry_out(struct pid1 *s, struct incoming_message *m,
                     struct failure *f) {
    bool entered = s->null >= 0;
    switch (m->order.type) {
    case ORDER_SETUP:
        return handle_setup(s, m, f);
    case ORDER_MOUNT:
        return handle_mount(s, m, f);
    case ORDER_PUT:
        return entered ? handle_put(m, f) : broken_order(f);
    case ORDER_GIVE:
        return entered ? handle_give(m, f) : broken_order(f);
    case ORDER_SPAWN:
        return entered ? handle_spawn(s, m, f) : broken_order(f);
    case ORDER_SIGNAL:
        handle_signal(s, &m->order);
        return 0;
    case ORDER_PAUSE:
        handle_pause(s);
        return 0;
    case ORDER_RESUME:
        resume_all(&s->pause);
        return 0;
    case ORDER_SOCKET:
        return entered ? handle_socket(s, m, f) : broken_order(f);
    case ORDER_WATCH:
        return entered ? handle_watch(s, m, f) : broken_order(f);
    case ORDER_HOLD:
        if (!entered)
            return broken_order(f);
        handle_hold(s);
        return 0;
    case ORDER_TRUST:
        return entered ? trust_also(m->fds[0], f) : broken_order(f);
    case ORDER_TRACE:
        return handle_trace(s, m, f);
    }
    return broken_order(f);
}

/* Long payloads come as a memfd, the last descriptor. To read beyond its end
 * would kill us. */
static int open_payload(struct incoming_message *m, char *inline_bytes,
                        size_t length, struct failure *f) {
    m->mapped = NULL;
    m->strings = inline_bytes;
    m->end = inline_bytes + length;
    if (!m->order.in_memfd)
        return length == m->order.payload ? 0 : broken_order(f);
    int last = ORDER_FDS_MAX - 1;
    while (last > 0 && m->fds[last] < 0)
        last--;
    struct stat st;
    if (fstat(m->fds[last], &st) < 0 || st.st_size < m->order.payload)
        return broken_order(f);
    void *map =
        mmap(NULL, m->order.payload, PROT_READ, MAP_PRIVATE, m->fds[last], 0);
    if (map == MAP_FAILED)
        return fail_errno(f, "cannot read a long order");
    m->mapped = m->strings = map;
    m->end = m->strings + m->order.payload;
    return 0;
}

static void close_message(struct incoming_message *m) {
    if (m->mapped)
        munmap(m->mapped, m->order.payload);
    for (int i = 0; i < ORDER_FDS_MAX; i++)
        if (m->fds[i] >= 0)
            close(m->fds[i]);
}

/* Has the message as many descriptors as its order says? */
static bool has_descriptors(const struct incoming_message *m) {
    const struct order *o = &m->order;
    unsigned wanted = o->in_memfd, count = 0;
    if (o->type == ORDER_SETUP)
        wanted += o->groups;
    else if (o->type == ORDER_MOUNT)
        wanted += o->argc;
    else if (o->type == ORDER_PUT || o->type == ORDER_WATCH ||
             o->type == ORDER_TRUST || o->type == ORDER_TRACE)
        wanted++;
    else if (o->type == ORDER_SPAWN)
        wanted += (unsigned)__builtin_popcount(o->stdio);
    while (count < ORDER_FDS_MAX && m->fds[count] >= 0)
        count++;
    return count == wanted;
}

static void receive(struct pid1 *s) {
    static char packet[sizeof(struct order) + ORDER_INLINE_MAX];
    struct incoming_message m;
    struct failure f = {0};
    long got = packet_receive(s->control, packet, sizeof packet, m.fds);
    if (got < 0 && errno == EINTR)
        return;
    if (got < 0 && errno == EMFILE) {
        fail_errno(&f, "the sandbox's init got an order without all of its "
                       "descriptors");
        report_fault(s->control, &f);
    }
    if (got <= 0)
        _exit(0); /* the engine has let go of us */
    if (got < (long)sizeof m.order) {
        broken_order(&f);
        report_fault(s->control, &f);
    }
    memcpy(&m.order, packet, sizeof m.order);
    if (!has_descriptors(&m)) {
        broken_order(&f);
        report_fault(s->control, &f);
    }
    if (open_payload(&m, packet + sizeof m.order, got - sizeof m.order, &f) <
            0 ||
        carry_out(s, &m, &f) < 0)
        report_fault(s->control, &f);
    close_message(&m);
}

static void on_child(int signal_number) {
    (void)signal_number; /* only interrupts ppoll */
}

_Noreturn void pid1_main(int control, const struct cell_limits *limits) {
    struct pid1 s = {.control = control, .null = -1, .limits = limits};
    struct sigaction action = {.sa_handler = on_child};
    sigset_t blocked, none;
    sigemptyset(&none);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGCHLD);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    sigaction(SIGCHLD, &action, NULL);
    struct failure f = {0};
    if (!limits && begin(&s, &f) < 0)
        report_fault(control, &f);
    for (;;) {
        struct pollfd p[1 + WATCH_POLLS] = {{.fd = control, .events = POLLIN}};
        int timeout = -1;
        size_t count = 1 + watches_polls(&s.watches, p + 1, &timeout);
        if (s.pause.stopping)
            timeout = 1;
        const struct timespec wait = {.tv_nsec = timeout * 1000000L};
        int rc = ppoll(p, count, timeout < 0 ? NULL : &wait, &none);
        reap(&s);
        if (rc > 0 && p[0].revents)
            receive(&s);
        look_at_pause(&s);
        watches_work(&s.watches);
    }
}
