/* route.h: the routes of a server, and the search for one. It knows nothing of
 * connections. */
#ifndef CONTREE_HTTP_ROUTE_H
#define CONTREE_HTTP_ROUTE_H

#include "base/buffer.h"
#include "base/fault.h"
#include "base/url.h"
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct request;

enum body_kind {
    BODY_NONE, /* a body is read and dropped */
    BODY_JSON, /* an object of at most JSON_BODY_MAX bytes: request_json() */
    /* The same; or, with Content-Type: application/octet-stream, as many bytes
     * of any kind: request_bytes() */
    BODY_BYTES,
    BODY_STREAM /* write() gets it as it arrives */
};
enum { JSON_BODY_MAX = 16 << 20 };

struct route {
    const char *method;  /* a route of GET answers HEAD as well */
    const char *pattern; /* the path below /v1/; "*" matches one segment */
    enum body_kind body;
    void (*handle)(struct request *r);
    /* For BODY_STREAM: open() comes before the first byte, with `length` -1 if
     * it is unknown, then write() for each piece. A failure becomes the reply,
     * and handle() is not called. write() returns how much it took: the rest
     * comes again after request_go_on(), and the client must wait till then.
     * Or it returns -1 with the fault, or STREAM_CUT: end the connection. */
    int (*open)(struct request *r, int64_t length, struct fault *f);
    ssize_t (*write)(struct request *r, const void *data, size_t length,
                     struct fault *f);
    /* For BODY_JSON and BODY_BYTES: read the body before handle(), which finds
     * the outcome by request_state(); or NULL. Runs in a worker if the body is
     * large, so it may use only what never changes of the context. */
    int (*digest)(struct request *r, struct fault *f);
};

enum { ROUTE_PARAMETERS = 4 };

struct route_match {
    const struct route *route;
    const char
        *params[ROUTE_PARAMETERS]; /* the segments that matched each "*" */
    size_t prefix_count;           /* the number of segments before v1 */
};

/* Find the route of a request. `tables` ends with NULL, each table with a NULL
 * method. Fails with 404 if no route has the path. Fails with 405 if none of
 * them has the method: then `allow` lists the methods. prefix_count is always
 * set. */
int route_find(const struct route *const *tables, const struct url *u,
               const char *method, struct route_match *out,
               struct buffer *allow, struct fault *f);

#endif
