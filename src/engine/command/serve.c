/* serve.c: see serve.h. */
#define _GNU_SOURCE
#include "command/serve.h"
#include "api/gc.h"
#include "api/routes.h"
#include "base/descriptor.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/scope.h"
#include "base/tree.h"
#include "base/turn.h"
#include "base/work.h"
#include "command/data.h"
#include "command/rest.h"
#include "operation/operation.h"
#include "sandbox/launcher.h"
#include "sandbox/probe.h"
#include "sandbox/sandbox.h"
#include "sandbox/userns.h"
#include "transport/import.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    TOKEN_MAX = 4096,
    /* A stop waits so long for killed runs to end, then for replies to go out.
     */
    STOP_MS = 10000,
    FLUSH_MS = 500,
    STOP_TICK_MS = 5,
    /* How often to check whether garbage collection is due, or the one before
     * leaving has ended. */
    DAILY_MS = 600000,
    FIRST_DAILY_MS = 1000,
    LAST_GC_MS = 100
};

/* More than archives and imports, which are limited, can occupy: short work
 * always finds a worker. */
enum { WORKERS = 20 };

struct server {
    struct engine engine;
    struct http_options http;
    uv_signal_t terminate, interrupt;
    uv_timer_t idle, stop, daily;
    uv_fs_event_t there;
    struct rest rest;
    uint64_t stop_since, idle_since;
    bool stopping;
};

/* ---- the token ---- */

static int read_token(const char *path, char **out, struct fault *f) {
    char text[TOKEN_MAX + 1];
    int fd CLEANUP(cleanup_close) = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read_all(fd, text, TOKEN_MAX);
    if (n < 0)
        return fault_errno(f, "cannot read the token file %s", path);
    text[n] = 0;
    text[strcspn(text, "\r\n")] = 0;
    if (!*text || text[strspn(text, " \t")] == 0)
        return fault_set(f, 400,
                         "the token file %s has no token in its first "
                         "line",
                         path);
    *out = strdup(text);
    explicit_bzero(text, sizeof text);
    return *out ? 0 : fault_memory(f);
}

/* ---- stopping ---- */

static void close_handle(uv_handle_t *handle, void *arg) {
    (void)arg;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void end(struct server *s) {
    struct engine *e = &s->engine;
    http_close(e->http);
    e->http = NULL;
    uv_stop(e->loop);
}

/* The operations end first, then their replies and streams go out. */
static void on_stop_tick(uv_timer_t *timer) {
    struct server *s = timer->data;
    struct engine *e = &s->engine;
    uint64_t waited = uv_now(e->loop) - s->stop_since;
    bool busy = !operations_have_ended(e->operations) || e->workers.jobs > 0;
    if (busy && waited < STOP_MS)
        return;
    if (busy) {
        /* Exit at once: operations that hang would find their requests freed.
         * The store survives that as it survives a kill, and the sandboxes
         * die with the engine. */
        log_line("%zu operations do not end: exiting without them",
                 operations_active(e->operations));
        _exit(1);
    }
    if (!s->idle_since)
        s->idle_since = uv_now(e->loop);
    if (!http_active(e->http) || uv_now(e->loop) - s->idle_since >= FLUSH_MS)
        end(s);
}

static void begin_stop(struct server *s) {
    if (s->stopping)
        return;
    s->stopping = true;
    s->stop_since = uv_now(s->engine.loop);
    http_quiesce(s->engine.http);
    operations_stop(s->engine.operations);
    uv_timer_start(&s->stop, on_stop_tick, 0, STOP_TICK_MS);
}

static void on_signal(uv_signal_t *handle, int number) {
    (void)number;
    begin_stop(handle->data);
}

/* Collect garbage in small steps beside the work: a busy engine may never be
 * idle. */
static void on_daily(uv_timer_t *timer) {
    struct server *s = timer->data;
    if (!s->stopping)
        gc_when_due(&s->engine);
}

/* Whether the data directory was removed. Then nothing can be kept, and an
 * engine that starts in a new directory of that name does not know of this one.
 */
static bool data_is_gone(struct server *s) {
    if (s->stopping || store_is_there(s->engine.store))
        return false;
    log_line("the data directory %s was removed: leaving",
             s->engine.config->data_dir);
    begin_stop(s);
    return true;
}

static void on_lock_changed(uv_fs_event_t *there, const char *name, int events,
                            int status) {
    (void)name;
    (void)events;
    (void)status;
    data_is_gone(there->data);
}

static void watch_data(struct server *s) {
    char lock[PATH_MAX];
    snprintf(lock, sizeof lock, "%s/lock", s->engine.config->data_dir);
    int error = uv_fs_event_start(&s->there, on_lock_changed, lock, 0);
    if (error)
        log_line("%s is not watched (%s): if the data directory is removed, "
                 "the engine leaves when it is idle",
                 lock, uv_strerror(error));
}

static void on_idle(uv_timer_t *timer) {
    struct server *s = timer->data;
    struct engine *e = &s->engine;
    if (data_is_gone(s))
        return;
    uint64_t limit = (uint64_t)(e->config->idle_seconds * 1000);
    uint64_t passed = uv_now(e->loop) - http_last_activity(e->http);
    bool busy = engine_is_busy(e);
    if (!busy && passed >= limit) {
        if (gc_when_due(e))
            uv_timer_start(timer, on_idle, LAST_GC_MS, 0);
        else
            begin_stop(s);
        return;
    }
    uv_timer_start(timer, on_idle, busy ? limit : limit - passed, 0);
}

/* ---- starting ---- */

/* An engine that hears no SIGTERM could not be ended. */
static int watch_signals(struct server *s, struct fault *f) {
    uv_loop_t *loop = s->engine.loop;
    int error = uv_signal_init(loop, &s->terminate);
    if (error == 0)
        error = uv_signal_start(&s->terminate, on_signal, SIGTERM);
    if (error == 0)
        error = uv_signal_init(loop, &s->interrupt);
    if (error == 0)
        error = uv_signal_start(&s->interrupt, on_signal, SIGINT);
    if (error == 0)
        return 0;
    return fault_set(f, 500, "cannot watch signals: %s", uv_strerror(error));
}

static int watch(struct server *s, struct fault *f) {
    uv_loop_t *loop = s->engine.loop;
    s->terminate.data = s->interrupt.data = s->idle.data = s->stop.data = s;
    s->daily.data = s->there.data = s;
    if (watch_signals(s, f) < 0)
        return -1;
    uv_timer_init(loop, &s->idle);
    uv_timer_init(loop, &s->stop);
    uv_timer_init(loop, &s->daily);
    uv_fs_event_init(loop, &s->there);
    watch_data(s);
    rest_watch(&s->rest, &s->engine);
    uv_timer_start(&s->daily, on_daily, FIRST_DAILY_MS, DAILY_MS);
    if (s->engine.config->idle_seconds > 0)
        uv_timer_start(&s->idle, on_idle,
                       (uint64_t)(s->engine.config->idle_seconds * 1000), 0);
    return 0;
}

static void tell_ready(int fd) {
    if (fd < 0)
        return;
    if (write_all(fd, "1", 1) < 0)
        log_line("nobody waits for the ready byte");
    close_fd(fd);
}

/* Make an image for the first script of a new user. If that fails the engine
 * serves all the same. */
static void make_first_image(struct engine *e) {
    struct importer m = {e->dir_fd, e->store, e->layers, e->ids};
    if (import_busybox(&m, &e->no_busybox) < 0)
        log_line("no busybox:latest: %s", e->no_busybox.message);
}

/* A shell that starts us in the background ignores SIGINT for us, and every
 * sandbox would inherit that. */
static void reset_signals(void) {
    for (int i = 1; i < NSIG; i++)
        signal(i, SIG_DFL);
    signal(SIGPIPE, SIG_IGN);
}

static int share_descriptors(struct engine *e, struct engine_config *config,
                             struct fault *f) {
    if (descriptors_share(&e->descriptors, f) < 0)
        return -1;
    if (config->max_runs <= e->descriptors.runs)
        return 0;
    config->max_runs = e->descriptors.runs;
    log_line("%zu runs at a time: there are descriptors for no "
             "more. " DESCRIPTORS_FIX,
             config->max_runs);
    return 0;
}

static int run(struct server *s, struct fault *f) {
    struct engine *e = &s->engine;
    if (workers_start(e->loop, WORKERS, f) < 0 ||
        launcher_attach(e->launcher, e->loop, f) < 0)
        return -1;
    e->operations = operations_open(e, f);
    if (!e->operations)
        return -1;
    make_first_image(e);
    s->http = (struct http_options){
        .loop = e->loop,
        .workers = &e->workers,
        .most = &e->descriptors,
        .socket_path = e->config->socket_path,
        .group = e->config->group,
        .listen = e->config->listen,
        .token = e->config->token,
        .routes = e->config->plain_api ? api_plain_routes : api_routes,
        .context = e};
    if (store_announce(e->store, e->config->socket_path, f) < 0 ||
        watch(s, f) < 0)
        return -1;
    /* Nothing fails after this: whoever finds the socket is served. */
    e->http = http_open(&s->http, f);
    if (!e->http)
        return -1;
    operations_housekeep(e->operations); /* clean up after the last engine */
    tell_ready(e->config->ready_fd);
    turn_watch(e->loop);
    uv_run(e->loop, UV_RUN_DEFAULT);
    turn_unwatch();
    return 0;
}

static void close_engine(struct engine *e) {
    operations_close(e->operations);
    launcher_close(e->launcher);
    uv_walk(e->loop, close_handle, NULL);
    uv_run(e->loop, UV_RUN_DEFAULT);
    data_close(e);
}

/* Try the runtime: a program that does not work should fail now, not in each
 * run.
 */
static int try_runtime(struct engine *e, struct fault *f) {
    const struct runtime *r = e->config->runtime;
    const char *place = "trash/probe";
    char isolation[ISOLATION_SIZE];
    struct fault why;
    if (!r ||
        (tree_delete_at(e->dir_fd, place) == 0 &&
         probe_run(e->dir_fd, place, e->ids, r, NULL, isolation, &why) == 0))
        return 0;
    return fault_set(f, 503,
                     "%.280s. Fix it (contree-engine doctor --runtime %.40s "
                     "tries it again), or use --runtime native, which needs "
                     "no runtime",
                     why.message, r->name);
}

/* The order matters: first the user namespace; then the forkservers, before the
 * store's lock, threads and secrets, which they must not inherit. */
static int begin(struct server *s, const struct options *o,
                 struct engine_config *config, struct fault *f) {
    struct engine *e = &s->engine;
    if (userns_enter(&e->ids, f) < 0)
        return -1;
    e->dir_fd = data_directory(config->data_dir, f);
    if (e->dir_fd < 0)
        return -1;
    e->launcher =
        launcher_open(e->dir_fd, e->ids, config->runtime, config->nice, f);
    if (!e->launcher ||
        launcher_check_limits(e->launcher, &config->limits, f) < 0 ||
        data_open_store(e, f) < 0 || try_runtime(e, f) < 0)
        return -1;
    if (o->token_file &&
        read_token(o->token_file, (char **)&config->token, f) < 0)
        return -1;
    return run(s, f);
}

int serve(const struct options *o, struct fault *f) {
    struct engine_config config = o->config;
    struct server *s = calloc(1, sizeof *s);
    if (!s)
        return fault_memory(f);
    s->engine.config = &config;
    s->engine.dir_fd = -1;
    reset_signals();
    int result = share_descriptors(&s->engine, &config, f);
    s->engine.loop = result < 0 ? NULL : uv_default_loop();
    s->engine.workers.loop = s->engine.loop;
    if (result == 0 && !s->engine.loop)
        result = fault_errno(f, "cannot make an event loop");
    if (result == 0) {
        result = begin(s, o, &config, f);
        close_engine(&s->engine);
    }
    free((char *)config.token);
    free(s);
    return result;
}
