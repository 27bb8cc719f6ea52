/* server.c: the server of http.h: listeners on the loop, and a request from its
 * first byte to the handler. Replies are in reply.c. */
#define _GNU_SOURCE
#include "base/clock.h"
#include "base/descriptor.h"
#include "base/log.h"
#include "base/turn.h"
#include "base/work.h"
#include "http/head.h"
#include "http/internal.h"
#include "http/listen.h"
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    /* Of libmicrohttpd: no byte for so long ends a connection. */
    IDLE_SECONDS = 60,
    CONNECTION_MEMORY = 64 * 1024,
    /* What is read and thrown away of a body nobody wants, so that the client
     * gets to read why; beyond it the connection is cut. */
    DISCARD_MAX = 16 << 20,
    TICK_MS = 2500,
    DIGEST_HERE = 64 * 1024 /* bytes of a body, on the loop */
};

/* ---- what a request holds ---- */

void *request_context(const struct request *r) {
    return r->server->o->context;
}

const struct url *request_url(const struct request *r) {
    return &r->url;
}

const char *request_param(const struct request *r, size_t n) {
    return r->params[n];
}

const json_t *request_json(const struct request *r) {
    return r->json;
}

static bool is_bytes(const struct request *r) {
    const char *type = request_header(r, "Content-Type");
    return r->route->body == BODY_BYTES && type &&
           strcasecmp(type, "application/octet-stream") == 0;
}

const void *request_bytes(const struct request *r, size_t *length) {
    *length = r->body.length;
    return !is_bytes(r) ? NULL : r->body.data ? r->body.data : "";
}

const char *request_header(const struct request *r, const char *name) {
    return MHD_lookup_connection_value(r->mhd, MHD_HEADER_KIND, name);
}

bool request_is_local(const struct request *r) {
    return !r->connection->listener->tcp;
}

long request_client(const struct request *r) {
    return request_is_local(r) ? peer_process(r->connection->fd) : 0;
}

bool request_is_head(const struct request *r) {
    return r->head;
}

void request_set_location(struct request *r, const char *operation) {
    struct buffer b;
    buffer_init(&b, 4096);
    for (size_t i = 0; i < r->prefix_count; i++)
        url_add_segment(&b, r->url.segments[i]);
    buffer_addf(&b, "/v1/operations/%s", operation);
    if (!b.failed)
        reply_header(r, "Location", b.data);
    buffer_free(&b);
}

void request_own(struct request *r, void *state, void (*release)(void *)) {
    r->state = state;
    r->release = release;
}

void *request_state(const struct request *r) {
    return r->state;
}

void request_on_gone(struct request *r, void (*gone)(void *arg), void *arg) {
    r->gone = gone;
    r->gone_arg = arg;
}

void request_resume(struct request *r) {
    if (!r->suspended)
        return;
    r->suspended = false;
    MHD_resume_connection(r->mhd);
    r->server->kicked = true;
}

static void on_later(uv_timer_t *timer) {
    connections_resume(timer->data);
}

void request_resume_later(struct request *r) {
    r->later = true;
    uv_timer_start(&r->server->later, on_later, 1, 0);
}

/* ---- from the request line to the route ---- */

static void touch(struct http_server *s) {
    s->last_activity = uv_now(s->o->loop);
}

/* libmicrohttpd has no memory for what follows such a request line, and would
 * answer with a page of its own, or not at all. */
static void refuse_at_once(struct request *r) {
    struct buffer b;
    buffer_init(&b, 4096);
    struct buffer body = fault_body(&r->fault);
    buffer_addf(&b,
                "HTTP/1.1 %d URI Too Long\r\nContent-Type: application/json"
                "\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
                r->fault.status, body.length, body.data ? body.data : "");
    if (!b.failed && send(r->connection->fd, b.data, b.length,
                          MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        log_line("a request line was too long, and so was the answer");
    shutdown(r->connection->fd, SHUT_RDWR);
    r->aborted = true;
    buffer_free(&body);
    buffer_free(&b);
}

/* libmicrohttpd's first word of a request; its result is the request that the
 * other callbacks get. */
static void *request_new(void *listener, const char *target,
                         struct MHD_Connection *mhd) {
    struct listener *l = listener;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct request *r = info ? calloc(1, sizeof *r) : NULL;
    if (!r)
        return NULL;
    r->server = l->server;
    r->connection = info->socket_context;
    r->mhd = mhd;
    r->since = monotonic_seconds();
    r->target_length = strlen(target);
    buffer_init(&r->body, JSON_BODY_MAX);
    r->connection->request = r;
    r->server->active++;
    touch(r->server);
    if (url_parse(&r->url, target, &r->fault) < 0 && r->fault.status == 414)
        refuse_at_once(r);
    return r;
}

static void request_free(void *arg, struct MHD_Connection *mhd, void **context,
                         enum MHD_RequestTerminationCode why) {
    struct request *r = *context;
    (void)arg;
    (void)mhd;
    (void)why;
    if (!r)
        return;
    *context = NULL;
    r->server->active--;
    touch(r->server);
    r->connection->request = NULL;
    r->connection->since = monotonic_seconds();
    reply_body_free(r->stream);
    if (r->gone)
        r->gone(r->gone_arg);
    if (r->release)
        r->release(r->state);
    if (r->response)
        MHD_destroy_response(r->response);
    for (size_t i = 0; i < r->header_count; i++)
        free(r->headers[i].value);
    json_decref(r->json);
    buffer_free(&r->body);
    url_clear(&r->url);
    free(r);
}

/* Whether the segments after v1 are the pattern's; fills params. */
static bool pattern_matches(struct request *r, const char *pattern,
                            const char *const *segments, size_t count) {
    size_t params = 0, i = 0;
    while (*pattern) {
        size_t length = strcspn(pattern, "/");
        if (i == count)
            return false;
        if (length == 1 && *pattern == '*')
            r->params[params++] = segments[i];
        else if (strlen(segments[i]) != length ||
                 memcmp(segments[i], pattern, length) != 0)
            return false;
        i++;
        pattern += length + (pattern[length] == '/');
    }
    return i == count;
}

static bool method_matches(const struct route *route, const char *method) {
    return strcmp(route->method, method) == 0 ||
           (strcmp(route->method, "GET") == 0 && strcmp(method, "HEAD") == 0);
}

static void add_method(struct buffer *allow, const char *method) {
    buffer_addf(allow, "%s%s", allow->length ? ", " : "", method);
    if (strcmp(method, "GET") == 0)
        buffer_addf(allow, ", HEAD");
}

/* Fills route, or the fault: 404, or 405 with Allow. */
static void find_route(struct request *r, const char *method) {
    const struct url *u = &r->url;
    struct buffer allow;
    size_t v1 = 0;
    while (v1 < u->segment_count && strcmp(u->segments[v1], "v1") != 0)
        v1++;
    r->prefix_count = v1;
    size_t rest = v1 < u->segment_count ? v1 + 1 : v1;
    buffer_init(&allow, 128);
    for (const struct route *p = r->server->o->routes; p->method && !r->route;
         p++)
        if (pattern_matches(r, p->pattern, u->segments + rest,
                            u->segment_count - rest) &&
            rest > v1) {
            if (method_matches(p, method))
                r->route = p;
            else
                add_method(&allow, p->method);
        }
    if (!r->route && allow.length) {
        fault_set(&r->fault, 405, "%s is not allowed here, only %s", method,
                  allow.data);
        reply_header(r, "Allow", allow.data);
    } else if (!r->route) {
        fault_set(&r->fault, 404, "no such route");
    }
    buffer_free(&allow);
}

/* ---- who may ask ---- */

static void hash_token(const char *token, size_t length,
                       unsigned char out[SHA256_DIGEST_LENGTH]) {
    SHA256((const unsigned char *)token, length, out);
}

/* Hashes are compared, so that not even the length shows in the time. */
static bool token_is_right(struct request *r) {
    const char *header = request_header(r, "Authorization");
    unsigned char hash[SHA256_DIGEST_LENGTH];
    if (!header || strncasecmp(header, "Bearer ", 7) != 0)
        return false;
    header += 7 + strspn(header + 7, " ");
    hash_token(header, strlen(header), hash);
    return CRYPTO_memcmp(hash, r->server->token_hash, sizeof hash) == 0;
}

/* On TCP the token is all that counts, whatever name the client knows us by: a
 * page whose own name was pointed at us (DNS rebinding) has no token to send.
 */
static void authorize(struct request *r) {
    if (r->connection->refused) {
        fault_set(&r->fault, 403, "this engine serves another user");
    } else if (r->connection->listener->tcp && !token_is_right(r)) {
        fault_set(&r->fault, 401, "missing or wrong bearer token");
        reply_header(r, "WWW-Authenticate", "Bearer");
    } else {
        connection_know(r->connection);
    }
}

/* ---- receiving ---- */

static enum MHD_Result queue(struct request *r) {
    if (r->aborted || !r->response)
        return MHD_NO;
    return MHD_queue_response(r->mhd, r->status, r->response);
}

/* Whether the route takes a body of that length, -1 if unknown. */
static void admit(struct request *r, int64_t length) {
    bool kept = r->route->body == BODY_JSON || r->route->body == BODY_BYTES;
    if (kept && length > JSON_BODY_MAX)
        fault_set(&r->fault, 413, "the body is larger than %d bytes",
                  JSON_BODY_MAX);
    else if (r->route->body == BODY_STREAM)
        r->route->open(r, length, &r->fault);
}

/* All headers are there, no byte of the body is. */
static enum MHD_Result begin(struct request *r, const char *method,
                             const char *version) {
    struct head head = {0};
    size_t line = strlen(method) + 1 + r->target_length + 1 + strlen(version);
    r->begun = true;
    r->head = strcmp(method, "HEAD") == 0;
    if (!r->fault.status &&
        head_read(r->mhd, line, version, &head, &r->fault) < 0)
        reply_header(r, "Connection", "close");
    r->gzip = head.gzip;
    if (!r->fault.status)
        authorize(r);
    /* Of a stranger, or with a length in doubt, no body is read at all. */
    bool at_once = r->fault.status != 0;
    if (!r->fault.status)
        find_route(r, method);
    if (!r->fault.status)
        admit(r, head.length);
    /* Nor is one that is large, or waits for our word. */
    if (r->fault.status &&
        (at_once || head.length > DISCARD_MAX || request_header(r, "Expect"))) {
        reply_fault(r, &r->fault);
        return queue(r);
    }
    return MHD_YES;
}

/* A client that may upload, but whose upload has failed half-way, gets to read
 * why: it sends to the end before it looks. */
static enum MHD_Result discard(struct request *r, size_t length) {
    if (r->route && r->route->body == BODY_STREAM)
        return MHD_YES;
    r->discarded += (int64_t)length;
    return r->discarded > DISCARD_MAX ? MHD_NO : MHD_YES;
}

/* A piece of the body. */
static enum MHD_Result receive(struct request *r, const char *data,
                               size_t length) {
    r->received += (int64_t)length;
    if (r->fault.status || r->route->body == BODY_NONE)
        return discard(r, length);
    if (r->route->body == BODY_STREAM) {
        r->route->write(r, data, length, &r->fault);
    } else if (!buffer_add(&r->body, data, length)) {
        fault_set(&r->fault, 413, "the body is larger than %d bytes",
                  JSON_BODY_MAX);
    }
    return MHD_YES;
}

/* What is made of the body before the handler sees it: in any thread, as
 * nobody else touches the request meanwhile. */
static void digest(struct request *r) {
    if (!is_bytes(r)) {
        r->json = json_parse(r->body.data, r->body.length, &r->fault);
        buffer_free(&r->body);
    }
    if (!r->fault.status && r->route->digest)
        r->route->digest(r, &r->fault);
}

static void answer(struct request *r) {
    if (r->fault.status)
        reply_fault(r, &r->fault);
    else
        r->route->handle(r);
}

struct digestion {
    struct job job;
    struct request *request;
};

static void digest_work(struct job *j) {
    digest(((struct digestion *)j)->request);
}

static void digest_done(struct job *j) {
    answer(((struct digestion *)j)->request);
    free(j);
}

/* A large body would keep the loop from all others. */
static bool digest_elsewhere(struct request *r) {
    struct digestion *d =
        r->body.length > DIGEST_HERE ? calloc(1, sizeof *d) : NULL;
    if (!d)
        return false;
    d->request = r;
    job_start(r->server->o->workers, &d->job, digest_work, digest_done);
    return true;
}

static enum MHD_Result suspend(struct request *r) {
    r->suspended = true;
    MHD_suspend_connection(r->mhd);
    return MHD_YES;
}

/* The body is there. Of many requests at once some come in a later turn. */
static enum MHD_Result handle(struct request *r) {
    if (turn_is_long(r->server->o->loop)) {
        request_resume_later(r);
        return suspend(r);
    }
    r->complete = true;
    if (!r->fault.status && r->server->closing)
        fault_set(&r->fault, 503, "the engine is stopping");
    bool has_body = !r->fault.status && (r->route->body == BODY_JSON ||
                                         r->route->body == BODY_BYTES);
    if (!has_body || !digest_elsewhere(r)) {
        if (has_body)
            digest(r);
        answer(r);
    }
    if (r->response || r->aborted)
        return queue(r);
    return suspend(r);
}

static enum MHD_Result access_handler(void *arg, struct MHD_Connection *mhd,
                                      const char *url, const char *method,
                                      const char *version, const char *data,
                                      size_t *length, void **context) {
    struct request *r = *context;
    (void)arg;
    (void)mhd;
    (void)url;
    if (!r || r->aborted)
        return MHD_NO;
    if (!r->begun)
        return begin(r, method, version);
    if (*length) {
        size_t n = *length;
        *length = 0;
        return receive(r, data, n);
    }
    return r->complete ? queue(r) : handle(r);
}

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

static void on_tick(uv_timer_t *timer) {
    connections_tick(timer->data);
}

/* Before the loop sleeps: connections that were resumed go on, and the timers
 * are set to what libmicrohttpd and the connections need. */
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
    else if (!uv_is_active((uv_handle_t *)&s->tick))
        uv_timer_start(&s->tick, on_tick, TICK_MS, TICK_MS);
}

/* ---- opening and closing ---- */

/* Paths are decoded by url_parse(), after they are split. */
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
        NULL, NULL, access_handler, l, MHD_OPTION_CONNECTION_LIMIT, UINT_MAX,
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
    int fd = listen_unix(path, f);
    if (fd < 0)
        return -1;
    if (lstat(path, &s->socket) < 0)
        s->socket.st_ino = 0;
    return listener_open(s, &s->unix_listener, fd, f);
}

/* Not the socket of an engine that has taken the name over. */
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
    hash_token(o->token, strlen(o->token), s->token_hash);
    s->tcp_listener.tcp = true;
    int fd = listen_tcp(o->listen, bound, f);
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
    touch(s);
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

/* libmicrohttpd must not be stopped while a connection is suspended. */
static void release_waiting(struct http_server *s) {
    static const struct fault stopping = {503, "the engine is stopping"};
    for (struct connection *c = s->connections; c; c = c->next) {
        struct request *r = c->request;
        if (!r || !r->suspended)
            continue;
        if (r->stream) {
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
