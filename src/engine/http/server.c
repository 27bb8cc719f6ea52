/* server.c: the listeners of a server on the loop, from http_open() to
 * http_close(). Requests are in receive.c, replies in reply.c. */
#define _GNU_SOURCE
#include "base/descriptor.h"
#include "base/listen_tcp.h"
#include "base/log.h"
#include "http/head.h"
#include "http/internal.h"
#include "http/listen.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    /* libmicrohttpd ends a connection after so long without a byte. */
    IDLE_SECONDS = 60,
    CONNECTION_MEMORY = 64 * 1024,
    TICK_MS = 2500
};

/* ---- the loop ---- */

static void run_daemon(struct listener *l) {
    if (l->daemon)
        MHD_run(l->daemon);
}

static void on_readable(uv_poll_t *poll, int status, int events) {
    (void)status;
    (void)events;
    run_daemon(poll->data);
}

static void on_timeout(uv_timer_t *timer) {
    struct http_server *s = timer->data;
    run_daemon(&s->unix_listener);
    run_daemon(&s->tcp_listener);
}

static void soonest_timeout(struct listener *l, uint64_t *soonest) {
    MHD_UNSIGNED_LONG_LONG ms;
    if (l->daemon && MHD_get_timeout(l->daemon, &ms) == MHD_YES &&
        ms < *soonest)
        *soonest = ms;
}

/* Idle connections need no watching: libmicrohttpd ends them. */
static void on_tick(uv_timer_t *timer) {
    struct http_server *s = timer->data;
    s->quiet = !connections_tick(s);
    if (s->quiet)
        uv_timer_stop(timer);
}

/* Before the loop sleeps: serve the connections that were resumed, and set the
 * timers by the needs of libmicrohttpd and the connections. */
static void on_prepare(uv_prepare_t *prepare) {
    struct http_server *s = prepare->data;
    uint64_t soonest = UINT64_MAX;
    for (int rounds = 0; s->kicked && rounds < 16; rounds++) {
        s->kicked = false;
        run_daemon(&s->unix_listener);
        run_daemon(&s->tcp_listener);
    }
    soonest_timeout(&s->unix_listener, &soonest);
    soonest_timeout(&s->tcp_listener, &soonest);
    if (s->kicked)
        soonest = 0;
    if (soonest == UINT64_MAX)
        uv_timer_stop(&s->timeout);
    else
        uv_timer_start(&s->timeout, on_timeout, soonest, 0);
    if (!s->connections)
        uv_timer_stop(&s->tick);
    else if (!s->quiet && !uv_is_active((uv_handle_t *)&s->tick))
        uv_timer_start(&s->tick, on_tick, TICK_MS, TICK_MS);
    s->quiet = false; /* until the loop wakes up */
}

/* ---- opening and closing ---- */

/* libmicrohttpd must not decode paths: url_parse() splits them first. */
static size_t keep_escapes(void *arg, struct MHD_Connection *mhd, char *text) {
    (void)arg;
    (void)mhd;
    return strlen(text);
}

/* Takes over fd. */
static int listener_open(struct http_server *s, struct listener *l, int fd,
                         struct fault *f) {
    l->server = s;
    l->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_NO_LISTEN_SOCKET, 0,
        NULL, NULL, request_receive, l, MHD_OPTION_CONNECTION_LIMIT, UINT_MAX,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
        MHD_OPTION_STRICT_FOR_CLIENT, head_strictness(),
        MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_UNESCAPE_CALLBACK,
        keep_escapes, NULL, MHD_OPTION_URI_LOG_CALLBACK, request_new, l,
        MHD_OPTION_NOTIFY_COMPLETED, request_free, NULL,
        MHD_OPTION_NOTIFY_CONNECTION, connection_notify, l, MHD_OPTION_END);
    if (!l->daemon) {
        close_fd(fd);
        return fault_set(f, 500, "cannot start the HTTP server");
    }
    int epoll =
        MHD_get_daemon_info(l->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    if (watch_open(s->o->loop, &l->poll, epoll, f) < 0) {
        close_fd(fd);
        return -1;
    }
    l->polling = true;
    l->poll.data = l;
    uv_poll_start(&l->poll, UV_READABLE, on_readable);
    return listener_accept(l, fd, f);
}

static int open_unix(struct http_server *s, struct fault *f) {
    const char *path = s->o->socket_path;
    if (!path)
        return 0;
    int fd = listen_socket(f);
    if (fd < 0 || listener_open(s, &s->unix_listener, fd, f) < 0 ||
        listen_unix(fd, path, s->o->group, f) < 0)
        return -1;
    if (lstat(path, &s->socket) < 0)
        s->socket.st_ino = 0;
    return 0;
}

/* Remove our socket, not one that another engine has put in its place. */
static void remove_socket(struct http_server *s) {
    const char *path = s->o->socket_path;
    struct stat now;
    if (path && s->socket.st_ino && lstat(path, &now) == 0 &&
        now.st_ino == s->socket.st_ino && now.st_dev == s->socket.st_dev)
        unlink(path);
    s->socket.st_ino = 0;
}

static int open_tcp(struct http_server *s, struct fault *f) {
    const struct http_options *o = s->o;
    char bound[64];
    if (!o->listen)
        return 0;
    if (!o->token)
        return fault_set(f, 400, "--listen needs --token-file");
    server_set_token(s, o->token);
    s->tcp_listener.tcp = true;
    int fd = listen_tcp(o->listen, "--listen", false, bound, f);
    if (fd < 0 || listener_open(s, &s->tcp_listener, fd, f) < 0)
        return -1;
    log_line("serving on http://%s", bound);
    return 0;
}

struct http_server *http_open(const struct http_options *o, struct fault *f) {
    struct http_server *s = calloc(1, sizeof *s);
    if (!s) {
        fault_memory(f);
        return NULL;
    }
    s->o = o;
    uv_prepare_init(o->loop, &s->prepare);
    uv_timer_init(o->loop, &s->timeout);
    uv_timer_init(o->loop, &s->tick);
    uv_timer_init(o->loop, &s->later);
    s->prepare.data = s->timeout.data = s->tick.data = s->later.data = s;
    uv_prepare_start(&s->prepare, on_prepare);
    server_touch(s);
    if (open_tcp(s, f) < 0 || open_unix(s, f) < 0) {
        http_close(s);
        return NULL;
    }
    return s;
}

static void let_go(void *server) {
    struct http_server *s = server;
    if (--s->open_handles == 0 && s->ended)
        free(s);
}

static void on_accepted_last(void *listener) {
    let_go(((struct listener *)listener)->server);
}

static void quiesce(struct listener *l) {
    if (!l->accepting)
        return;
    l->accepting = false;
    l->server->open_handles++;
    accept_close(&l->acceptor, on_accepted_last);
}

void http_quiesce(struct http_server *s) {
    s->closing = true;
    remove_socket(s);
    quiesce(&s->unix_listener);
    quiesce(&s->tcp_listener);
}

static void on_closed(uv_handle_t *handle) {
    let_go(handle->data);
}

static void close_handle(struct http_server *s, uv_handle_t *handle) {
    handle->data = s;
    s->open_handles++;
    uv_close(handle, on_closed);
}

static void listener_close(struct listener *l) {
    quiesce(l);
    if (l->polling) {
        l->poll.data = l->server;
        l->server->open_handles++;
        watch_close(&l->poll, on_closed);
    }
    if (l->daemon)
        MHD_stop_daemon(l->daemon);
    l->daemon = NULL;
    l->polling = false;
}

/* Answer what waits: libmicrohttpd must not be stopped while a connection is
 * suspended. */
static void release_waiting(struct http_server *s) {
    static const struct fault stopping = {503, "the engine is stopping"};
    for (struct connection *c = s->connections; c; c = c->next) {
        struct request *r = c->request;
        if (!r || !r->suspended)
            continue;
        if (r->stream || r->held) {
            r->aborted = true;
            request_resume(r);
        } else {
            reply_fault(r, &stopping);
        }
    }
}

void http_close(struct http_server *s) {
    if (!s)
        return;
    s->closing = true;
    release_waiting(s);
    run_daemon(&s->unix_listener);
    run_daemon(&s->tcp_listener);
    listener_close(&s->unix_listener);
    listener_close(&s->tcp_listener);
    s->ended = true;
    close_handle(s, (uv_handle_t *)&s->timeout);
    close_handle(s, (uv_handle_t *)&s->tick);
    close_handle(s, (uv_handle_t *)&s->later);
    close_handle(s, (uv_handle_t *)&s->prepare);
}

size_t http_active(const struct http_server *s) {
    return s->active;
}

uint64_t http_last_activity(const struct http_server *s) {
    return s->last_activity;
}
