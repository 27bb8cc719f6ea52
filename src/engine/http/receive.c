/* receive.c: a request from its first byte to its handler, and its end. */
#define _GNU_SOURCE
#include "base/clock.h"
#include "base/log.h"
#include "base/turn.h"
#include "base/url.h"
#include "base/work.h"
#include "http/head.h"
#include "http/internal.h"
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
    /* So many bytes of a body that was refused are read and dropped: a client
     * mostly reads the answer only after it has sent the body. Beyond that the
     * connection is cut. */
    DISCARD_MAX = 16 << 20,
    DIGEST_HERE = 64 * 1024 /* a larger body is parsed by a worker */
};

/* ---- beginning and end ---- */

void server_touch(struct http_server *s) {
    s->last_activity = uv_now(s->o->loop);
}

/* Answer past libmicrohttpd: it has no memory left after such a request line,
 * and would answer with a page of its own or not at all. */
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
        log_line("cannot answer a request whose line is too long");
    shutdown(r->connection->fd, SHUT_RDWR);
    r->aborted = true;
    buffer_free(&body);
    buffer_free(&b);
}

void *request_new(void *listener, const char *target,
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
    server_touch(r->server);
    if (url_parse(&r->url, target, &r->fault) < 0 && r->fault.status == 414)
        refuse_at_once(r);
    return r;
}

void request_free(void *arg, struct MHD_Connection *mhd, void **context,
                  enum MHD_RequestTerminationCode why) {
    struct request *r = *context;
    (void)arg;
    (void)mhd;
    (void)why;
    if (!r)
        return;
    *context = NULL;
    r->server->active--;
    server_touch(r->server);
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

/* Set the route, or a fault: 404, or 405 with Allow. */
static void find_route(struct request *r, const char *method) {
    struct buffer allow;
    buffer_init(&allow, 128);
    if (route_find(r->server->o->routes, &r->url, method, &r->match, &allow,
                   &r->fault) < 0 &&
        r->fault.status == 405)
        reply_header(r, "Allow", allow.data);
    buffer_free(&allow);
}

/* ---- receiving ---- */

static enum MHD_Result queue(struct request *r) {
    if (r->aborted || !r->response)
        return MHD_NO;
    return MHD_queue_response(r->mhd, r->status, r->response);
}

/* Refuse a body that is too large for the route; `length` is -1 if unknown. */
static void admit(struct request *r, int64_t length) {
    bool kept =
        r->match.route->body == BODY_JSON || r->match.route->body == BODY_BYTES;
    if (kept && length > JSON_BODY_MAX)
        fault_set(&r->fault, 413, "the body is larger than %d bytes",
                  JSON_BODY_MAX);
    else if (r->match.route->body == BODY_STREAM)
        r->match.route->open(r, length, &r->fault);
}

/* The headers have arrived, and no byte of the body. */
static enum MHD_Result begin(struct request *r, const char *method,
                             const char *version) {
    struct request_head head = {0};
    size_t line = strlen(method) + 1 + r->target_length + 1 + strlen(version);
    r->begun = true;
    r->head = strcmp(method, "HEAD") == 0;
    if (!r->fault.status &&
        head_read(r->mhd, line, version, &head, &r->fault) < 0)
        reply_header(r, "Connection", "close");
    r->gzip = head.gzip;
    if (!r->fault.status)
        request_authorize(r);
    /* Read no body of a client that may not ask, or of a doubtful length. */
    bool at_once = r->fault.status != 0;
    if (!r->fault.status)
        find_route(r, method);
    if (!r->fault.status)
        admit(r, head.length);
    /* Nor one that is large, or one that the client holds back until it is
     * welcome. */
    if (r->fault.status &&
        (at_once || head.length > DISCARD_MAX || request_header(r, "Expect"))) {
        reply_fault(r, &r->fault);
        return queue(r);
    }
    return MHD_YES;
}

/* Drop a piece. An upload that has failed half-way may send all the rest: its
 * client reads the reason only then. */
static enum MHD_Result discard(struct request *r, size_t length) {
    if (r->match.route && r->match.route->body == BODY_STREAM)
        return MHD_YES;
    r->discarded += (int64_t)length;
    return r->discarded > DISCARD_MAX ? MHD_NO : MHD_YES;
}

static enum MHD_Result suspend(struct request *r) {
    r->suspended = true;
    MHD_suspend_connection(r->mhd);
    return MHD_YES;
}

/* Give a piece to the route; what it does not take stays in *length. */
static enum MHD_Result pass_on(struct request *r, const char *data,
                               size_t *length) {
    ssize_t taken = r->match.route->write(r, data, *length, &r->fault);
    if (taken == STREAM_CUT)
        return MHD_NO;
    r->held = taken >= 0 && (size_t)taken < *length;
    *length = r->held ? *length - (size_t)taken : 0;
    return r->held ? suspend(r) : MHD_YES;
}

/* A piece of the body has arrived. Set *length to what is left of it. */
static enum MHD_Result receive(struct request *r, const char *data,
                               size_t *length) {
    size_t n = *length;
    bool refused = r->fault.status || r->match.route->body == BODY_NONE;
    r->received += (int64_t)n;
    if (!refused && r->match.route->body == BODY_STREAM)
        return pass_on(r, data, length);
    *length = 0;
    if (refused)
        return discard(r, n);
    if (!buffer_add(&r->body, data, n))
        fault_set(&r->fault, 413, "the body is larger than %d bytes",
                  JSON_BODY_MAX);
    return MHD_YES;
}

/* Parse the body for the handler. Runs in any thread: the request is not used
 * by anybody else meanwhile. */
static void digest(struct request *r) {
    if (!request_is_bytes(r)) {
        r->json = json_parse(r->body.data, r->body.length, &r->fault);
        buffer_free(&r->body);
    }
    if (!r->fault.status && r->match.route->digest)
        r->match.route->digest(r, &r->fault);
}

static void answer(struct request *r) {
    if (r->fault.status)
        reply_fault(r, &r->fault);
    else
        r->match.route->handle(r);
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

/* Let a worker parse a large body, which would hold up the loop. */
static bool digest_elsewhere(struct request *r) {
    struct digestion *d =
        r->body.length > DIGEST_HERE ? calloc(1, sizeof *d) : NULL;
    if (!d)
        return false;
    d->request = r;
    job_start(r->server->o->workers, &d->job, digest_work, digest_done);
    return true;
}

/* The body is complete. If this turn of the loop is long already, the handler
 * runs in the next. */
static enum MHD_Result handle(struct request *r) {
    if (turn_is_long(r->server->o->loop)) {
        request_resume_later(r);
        return suspend(r);
    }
    r->complete = true;
    if (!r->fault.status && r->server->closing)
        fault_set(&r->fault, 503, "the engine is stopping");
    bool has_body = !r->fault.status && (r->match.route->body == BODY_JSON ||
                                         r->match.route->body == BODY_BYTES);
    if (!has_body || !digest_elsewhere(r)) {
        if (has_body)
            digest(r);
        answer(r);
    }
    if (r->response || r->aborted)
        return queue(r);
    return suspend(r);
}

enum MHD_Result request_receive(void *arg, struct MHD_Connection *mhd,
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
    if (*length)
        return receive(r, data, length);
    return r->complete ? queue(r) : handle(r);
}
