/* http_internal.h: what http.c and reply.c share; nobody else includes it. */
#ifndef CONTREE_HTTP_INTERNAL_H
#define CONTREE_HTTP_INTERNAL_H

#include "http.h"
#include <microhttpd.h>
#include <zlib.h>

struct connection;
struct listener;

enum { REPLY_HEADERS = 4, ROUTE_PARAMETERS = 4 };

struct request {
    struct http_server *server;
    struct connection *connection;
    struct MHD_Connection *mhd;
    const struct route *route;
    struct url url;
    const char *params[ROUTE_PARAMETERS];
    size_t prefix_count; /* segments before v1 */
    bool head, gzip;
    double since; /* monotonic seconds */
    size_t target_length;

    /* receiving */
    bool begun, complete;
    struct buffer body;
    int64_t received, received_before; /* bytes of the body; at the last tick */
    int64_t discarded;
    bool lying; /* there were bytes to read at the last tick */
    json_t *json;
    struct fault fault; /* status 0: none so far */

    /* waiting */
    bool suspended, aborted;
    void (*gone)(void *arg);
    void *gone_arg;
    void *state;
    void (*release)(void *state);

    /* replying */
    struct {
        const char *name;
        char *value;
    } headers[REPLY_HEADERS];
    size_t header_count;
    struct MHD_Response *response;
    unsigned status;
    struct reply_body *stream;
};

/* The API's error object (wire-api.md §2.1). */
struct buffer fault_body(const struct fault *f);
/* Lets the connection go on, if it was waiting. */
void request_resume(struct request *r);
/* The stream that a request sends, in reply.c. */
void reply_body_free(struct reply_body *b);
/* Lets a stream that was silent for long send its keepalive. */
void reply_body_tick(struct request *r, double now);

#endif
