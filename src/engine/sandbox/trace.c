/* trace.c: see trace.h. */
#define _GNU_SOURCE
#include "sandbox/trace.h"
#include "base/descriptor.h"
#include "base/fd.h"
#include "sandbox/asking_filter.h"
#include "sandbox/called_path.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <poll.h>
#include <pthread.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum kind { REFUSED, PROGRAM, MISSING, READ, WRITTEN, KINDS };
enum { DIFFERENT_MAX = 200 }; /* of each kind */

struct trace {
    struct trace_callbacks on;
    void *arg;
    struct program_code plain;
    int listener;
    uv_async_t done;
    pthread_t thread;
    /* The thread's, until it has ended. */
    bool files, begun;   /* a call was asked about */
    pid_t init;          /* with files; 0: not known */
    int root;            /* of the sandbox, or -1 */
    json_t *seen[KINDS]; /* counts by text */
    int64_t more;
};

/* ---- what was seen ---- */

static void count(struct trace *t, enum kind kind, const char *text) {
    json_t *table = t->seen[kind];
    json_int_t before = json_integer_value(json_object_get(table, text));
    if (before == 0 && json_object_size(table) >= DIFFERENT_MAX)
        t->more++;
    else
        json_object_set_new(table, text, json_integer(before + 1));
}

static bool is_below(const char *path, const char *const *dirs) {
    for (; *dirs; dirs++) {
        size_t length = strlen(*dirs);
        if (strncmp(path, *dirs, length) == 0 &&
            (path[length] == '/' || path[length] == '\0'))
            return true;
    }
    return false;
}

/* A link that leads nowhere is there for those who look, but cannot be opened.
 */
static bool exists(const struct trace *t, const char *path, bool look) {
    uint64_t flags = O_PATH | O_CLOEXEC | (look ? O_NOFOLLOW : 0);
    if (t->root < 0 || !path[1])
        return true;
    int fd = open_scoped(t->root, path + 1, flags,
                         RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
    if (fd < 0)
        return errno != ENOENT && errno != ENOTDIR;
    close_fd(fd);
    return true;
}

static void count_open(struct trace *t, const char *path, uint64_t flags) {
    static const char *const packages[] = {
        "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", NULL};
    bool writes = (flags & O_ACCMODE) != O_RDONLY || flags & O_TRUNC;
    if (!(flags & O_CREAT) && !exists(t, path, false))
        count(t, MISSING, path);
    else if (writes || flags & O_CREAT)
        count(t, WRITTEN, path);
    else if (!(flags & (O_PATH | O_DIRECTORY)) && !is_below(path, packages))
        count(t, READ, path);
}

static void count_path(struct trace *t, const struct path_call *c,
                       const char *path, uint64_t flags) {
    static const char *const own[] = {"/proc", "/sys", "/dev", NULL};
    if (is_below(path, own))
        return;
    if (c->use == USE_OPEN)
        count_open(t, path, flags);
    else if (!exists(t, path, c->use == USE_LOOK))
        count(t, MISSING, path);
    else if (c->use == USE_EXECUTE)
        count(t, PROGRAM, path);
}

/* ---- the thread ---- */

/* The first call is one of init, or of a child that has not executed anything
 * yet. */
static void begin(struct trace *t, pid_t pid) {
    char path[32];
    snprintf(path, sizeof path, "/proc/%d/root", pid);
    t->begun = true;
    t->init = t->files ? pid : 0;
    t->root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static void look_at_path(struct trace *t, const struct seccomp_notif *asked) {
    const struct path_call *c = path_call_find(asked->data.nr);
    pid_t pid = (pid_t)asked->pid;
    uint64_t id = asked->id, flags = 0;
    char path[PATH_MAX];
    if (!t->begun)
        begin(t, pid);
    if (!c || pid == t->init || !called_path(pid, c, &asked->data, path))
        return;
    if (c->use == USE_OPEN)
        flags = called_flags(pid, c, &asked->data);
    if (ioctl(t->listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0)
        count_path(t, c, path, flags);
}

static void count_refusal(struct trace *t, int number) {
    char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number);
    count(t, REFUSED, name ? name : "?");
    free(name);
}

/* The plain filter decides. A call that it allows goes on, whatever the process
 * has made of the memory that we looked at. */
static void answer(struct trace *t, const struct seccomp_notif *asked) {
    struct seccomp_notif_resp reply = {.id = asked->id};
    uint32_t verdict = program_judge(&t->plain, &asked->data);
    bool allowed = verdict == SECCOMP_RET_ALLOW;
    if (allowed) {
        look_at_path(t, asked);
        reply.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    } else {
        bool error = (verdict & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ERRNO;
        reply.error = error ? -(int)(verdict & SECCOMP_RET_DATA) : -ENOSYS;
    }
    /* It fails when the process was killed meanwhile. */
    if (ioctl(t->listener, SECCOMP_IOCTL_NOTIF_SEND, &reply) == 0 && !allowed)
        count_refusal(t, asked->data.nr);
}

static void *listen_to_calls(void *arg) {
    struct trace *t = arg;
    struct pollfd p = {.fd = t->listener, .events = POLLIN};
    for (;;) {
        struct seccomp_notif asked = {0};
        if (poll(&p, 1, -1) < 0 && errno != EINTR)
            break;
        if (!(p.revents & POLLIN) && p.revents)
            break; /* no process is left */
        if (!p.revents)
            continue;
        if (ioctl(t->listener, SECCOMP_IOCTL_NOTIF_RECV, &asked) == 0)
            answer(t, &asked);
        else if (errno != EINTR && errno != ENOENT)
            break;
    }
    /* From here on a call would fail. */
    drop_fd(&t->listener);
    drop_fd(&t->root);
    uv_async_send(&t->done);
    return NULL;
}

/* ---- what is told ---- */

static void tell(struct trace *t, json_t *report) {
    if (report)
        t->on.told(t->arg, report);
    json_decref(report);
}

/* Whoever executes a program looks for it in several places. */
static bool was_executed(const struct trace *t, const char *path) {
    const char *name = strrchr(path, '/'), *other;
    json_t *times;
    json_object_foreach(t->seen[PROGRAM], other, times) {
        if (strcmp(strrchr(other, '/'), name) == 0)
            return true;
    }
    return false;
}

static void tell_all(struct trace *t) {
    static const char *const names[KINDS] = {"call", "program", "missing",
                                             "read", "written"};
    for (int k = 0; k < KINDS; k++) {
        const char *text;
        json_t *times;
        json_object_foreach(t->seen[k], text, times) {
            if (k != MISSING || !was_executed(t, text))
                tell(t, json_pack("{s:s,s:s,s:O}", "event", "traced", names[k],
                                  text, "count", times));
        }
    }
    if (t->more > 0)
        tell(t, json_pack("{s:s,s:s,s:I}", "event", "traced", "reason", "more",
                          "count", (json_int_t)t->more));
}

static void trace_free(struct trace *t) {
    for (int k = 0; k < KINDS; k++)
        json_decref(t->seen[k]);
    program_free(&t->plain);
    drop_fd(&t->listener);
    free(t);
}

static void on_closed(uv_handle_t *handle) {
    struct trace *t = handle->data;
    struct trace_callbacks on = t->on;
    void *arg = t->arg;
    trace_free(t);
    if (on.ended)
        on.ended(arg);
}

static void on_done(uv_async_t *done) {
    struct trace *t = done->data;
    pthread_join(t->thread, NULL);
    tell_all(t);
    uv_close((uv_handle_t *)done, on_closed);
}

/* ---- the start ---- */

static int start_thread(struct trace *t) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&t->thread, NULL, listen_to_calls, t);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

static int prepare(struct trace *t, uv_loop_t *loop, int plain,
                   struct fault *f) {
    for (int k = 0; k < KINDS; k++)
        if (!(t->seen[k] = json_object()))
            return fault_memory(f);
    if (program_read(plain, &t->plain, f) < 0)
        return -1;
    int rc = uv_async_init(loop, &t->done, on_done);
    return rc < 0 ? fault_set(f, 503, "cannot trace the sandbox: %s",
                              uv_strerror(rc))
                  : 0;
}

struct trace *trace_start(uv_loop_t *loop, int listener, int plain, bool files,
                          const struct trace_callbacks *on, void *arg,
                          struct fault *f) {
    struct trace *t = calloc(1, sizeof *t);
    if (!t) {
        close_fd(listener);
        fault_memory(f);
        return NULL;
    }
    *t = (struct trace){
        .arg = arg, .listener = listener, .files = files, .root = -1};
    t->done.data = t;
    if (prepare(t, loop, plain, f) < 0) {
        trace_free(t);
        return NULL;
    }
    int error = start_thread(t);
    if (error) {
        uv_close((uv_handle_t *)&t->done, on_closed);
        fault_set(f, 503, "cannot start a thread to trace the sandbox: %s",
                  strerror(error));
        return NULL;
    }
    t->on = *on;
    return t;
}
