/* request.c: the accessors of a request, and how a suspended one goes on. */
#include "base/url.h"
#include "http/internal.h"
#include "http/listen.h"
#include <strings.h>

void *request_context(const struct request *r) {
    return r->server->o->context;
}

const struct url *request_url(const struct request *r) {
    return &r->url;
}

const char *request_param(const struct request *r, size_t n) {
    return r->match.params[n];
}

const json_t *request_json(const struct request *r) {
    return r->json;
}

bool request_is_bytes(const struct request *r) {
    const char *type = request_header(r, "Content-Type");
    return r->match.route->body == BODY_BYTES && type &&
           strcasecmp(type, "application/octet-stream") == 0;
}

const void *request_bytes(const struct request *r, size_t *length) {
    *length = r->body.length;
    return !request_is_bytes(r) ? NULL : r->body.data ? r->body.data : "";
}

const char *request_header(const struct request *r, const char *name) {
    return MHD_lookup_connection_value(r->mhd, MHD_HEADER_KIND, name);
}

bool request_is_local(const struct request *r) {
    return r->connection->ours;
}

long request_client(const struct request *r) {
    return r->connection->listener->tcp ? 0 : peer_process(r->connection->fd);
}

bool request_is_head(const struct request *r) {
    return r->head;
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

void request_go_on(struct request *r) {
    if (r->held)
        request_resume(r);
}

/* Resume the requests that gave way to others in the last turn. */
static void on_later(uv_timer_t *timer) {
    struct http_server *s = timer->data;
    for (struct connection *c = s->connections; c; c = c->next) {
        struct request *r = c->request;
        if (!r || !r->later)
            continue;
        r->later = false;
        request_resume(r);
    }
}

void request_resume_later(struct request *r) {
    r->later = true;
    uv_timer_start(&r->server->later, on_later, 1, 0);
}
