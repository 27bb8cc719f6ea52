/* http.h: requests and replies over libmicrohttpd, on the engine's loop.
 *
 * A handler gets a request when its body has arrived and either replies before
 * it returns or keeps the request and replies later, from the loop. Every
 * request is replied to exactly once and must not be touched afterwards, but
 * for what its stream or its owned state does. */
#ifndef CONTREE_HTTP_HTTP_H
#define CONTREE_HTTP_HTTP_H

#include "base/buffer.h"
#include "base/descriptor.h"
#include "base/fault.h"
#include "base/json.h"
#include "base/scope.h"
#include "base/url.h"
#include "base/work.h"
#include "http/route.h"

struct http_server;
/* All of it must stay until http_close(). */
struct http_options {
    uv_loop_t *loop;
    struct workers *workers;
    const struct descriptors *most; /* connections and strangers at a time */
    const char *socket_path;        /* absolute; NULL: no Unix socket */
    const char *listen;             /* "127.0.0.1:0" style; NULL: no TCP */
    const char *token;              /* bearer token for TCP; NULL with no TCP */
    const struct route *const *routes; /* tables, see route_find() */
    void *context;                     /* whose requests these are */
};
/* Listens, and serves the routes from then on. */
struct http_server *http_open(const struct http_options *o, struct fault *f);
/* Takes no new connections. */
void http_quiesce(struct http_server *s);
/* Ends all connections, and answers 503 to the requests still waiting. */
void http_close(struct http_server *s);
/* Requests being received, handled or streamed. */
size_t http_active(const struct http_server *s);
/* When the last request began or ended (uv_now() milliseconds). */
uint64_t http_last_activity(const struct http_server *s);

/* ---- what a request holds ---- */

/* http_options.context */
void *request_context(const struct request *r);
const struct url *request_url(const struct request *r);
/* The path segment that matched the nth "*". */
const char *request_param(const struct request *r, size_t n);
const json_t *request_json(const struct request *r);
/* NULL when the body is JSON. */
const void *request_bytes(const struct request *r, size_t *length);
const char *request_header(const struct request *r, const char *name);
/* It came over the Unix socket, from the engine's own user. */
bool request_is_local(const struct request *r);
bool request_is_head(const struct request *r);
/* The process that sent it; 0 for all that come over TCP. */
long request_client(const struct request *r);
/* Path of the operation, with the prefix that this request came by. */
void request_set_location(struct request *r, const char *operation);
/* State that lives until the request is gone. Set again with NULLs to take it
 * back. */
void request_own(struct request *r, void *state, void (*release)(void *));
void *request_state(const struct request *r);
/* Called when the client has gone away before the reply: afterwards the
 * request is no more. */
void request_on_gone(struct request *r, void (*gone)(void *arg), void *arg);

/* ---- replies ---- */

/* An additional header of the reply to come; copied. */
void reply_header(struct request *r, const char *name, const char *value);
void reply_fault(struct request *r, const struct fault *f);
void reply_error(struct request *r, int status, const char *format, ...)
    PRINTF_LIKE(3, 4);
void reply_memory(struct request *r); /* fault_memory() */
void reply_empty(struct request *r, int status);
/* Takes over what the buffer holds (base/json.h); its last comma is removed. */
void reply_json(struct request *r, int status, struct buffer *b);
void reply_text(struct request *r, const char *type, struct buffer *b);
/* Sends `size` bytes of the file; takes over fd. */
void reply_fd(struct request *r, const char *type, int fd, int64_t size);

/* A body that comes bit by bit. read() gives up to `max` bytes, or one of the
 * values below; STREAM_LATER: it is asked again, after others had their turn.
 * close() is called once, when all is sent or the client gone. */
enum { STREAM_WAIT = 0, STREAM_END = -1, STREAM_CUT = -2, STREAM_LATER = -3 };
struct stream_source {
    ssize_t (*read)(void *arg, char *out, size_t max);
    void (*close)(void *arg);
    void *arg;
    const char *keepalive; /* sent when nothing else was for 10 s, or NULL */
};
void reply_stream(struct request *r, const char *type,
                  const struct stream_source *source);
/* read() may be called again. Loop thread. */
void stream_wake(struct request *r);

#endif
