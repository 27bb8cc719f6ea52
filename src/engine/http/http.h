/* http.h: an HTTP server over libmicrohttpd, on a libuv loop. It knows no
 * engine: it serves the routes that it is given.
 *
 * A handler gets a request when its body has arrived. It replies before it
 * returns, or keeps the request and replies later, from the loop. Reply to
 * every request exactly once, and do not touch it afterwards; its stream and
 * its owned state still may. */
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
/* Everything here must live until http_close(). */
struct http_options {
    uv_loop_t *loop;
    struct workers *workers;
    const struct descriptors *most; /* limits of connections */
    const char *socket_path;        /* absolute; NULL: no Unix socket */
    bool group;         /* processes of our group may use it as those on TCP */
    const char *listen; /* "127.0.0.1:0" style; NULL: no TCP */
    const char *token;  /* bearer token for TCP; NULL with no TCP */
    const struct route *const *routes; /* tables, see route_find() */
    void *context;                     /* for request_context() */
};
/* Listen, and serve the routes from now on. NULL on failure. */
struct http_server *http_open(const struct http_options *o, struct fault *f);
/* Take no new connections, and remove the name of the Unix socket. */
void http_quiesce(struct http_server *s);
/* End all connections; requests that still wait for a reply get 503. Run the
 * loop afterwards: it frees the server. */
void http_close(struct http_server *s);
/* The number of requests that are received, handled or streamed now. */
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
/* The body; NULL if it is JSON. */
const void *request_bytes(const struct request *r, size_t *length);
const char *request_header(const struct request *r, const char *name);
/* Whether it came over the Unix socket, from our own user. */
bool request_is_local(const struct request *r);
bool request_is_head(const struct request *r);
/* The id of the process that sent it; 0 over TCP. */
long request_client(const struct request *r);
/* Give the request a state, which is released with it. NULLs take it back. */
void request_own(struct request *r, void *state, void (*release)(void *));
void *request_state(const struct request *r);
/* gone(arg) is called if the client goes away before the reply; the request
 * must not be used any more. */
void request_on_gone(struct request *r, void (*gone)(void *arg), void *arg);

/* More of the body can be taken; see route.write. Loop thread only. */
void request_go_on(struct request *r);

/* ---- replies ---- */

/* Add a header to the reply; `value` is copied, `name` is not. */
void reply_header(struct request *r, const char *name, const char *value);
/* Set Location to the path of an operation, with the prefix of this request. */
void request_set_location(struct request *r, const char *operation);
void reply_fault(struct request *r, const struct fault *f);
void reply_error(struct request *r, int status, const char *format, ...)
    PRINTF_LIKE(3, 4);
void reply_memory(struct request *r); /* fault_memory() */
void reply_empty(struct request *r, int status);
/* Takes over the buffer, written with base/json.h; drops its last comma. */
void reply_json(struct request *r, int status, struct buffer *b);
void reply_text(struct request *r, const char *type, struct buffer *b);
/* Send `size` bytes of a file; takes over fd. */
void reply_fd(struct request *r, const char *type, int fd, int64_t size);

/* A body that is made while it is sent. read() returns how many bytes it wrote,
 * at most `max`, or one of STREAM_WAIT   no bytes yet: stream_wake() will tell
 *   STREAM_LATER  no bytes in this turn of the loop: call again in the next
 *   STREAM_END    the body is complete
 *   STREAM_CUT    the body cannot be completed: end the connection
 * close() is called once, after the last byte or when the client has gone. */
enum { STREAM_WAIT = 0, STREAM_END = -1, STREAM_CUT = -2, STREAM_LATER = -3 };
struct stream_source {
    ssize_t (*read)(void *arg, char *out, size_t max);
    void (*close)(void *arg);
    void *arg;
    const char *keepalive; /* sent after 10 s of silence; or NULL */
};
void reply_stream(struct request *r, const char *type,
                  const struct stream_source *source);
/* read() has something to say again. Loop thread only. */
void stream_wake(struct request *r);

#endif
