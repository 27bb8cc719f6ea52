/* route.h: the routes of a server, and how one is found. Knows nothing of
 * connections. */
#ifndef CONTREE_HTTP_ROUTE_H
#define CONTREE_HTTP_ROUTE_H

#include "base/buffer.h"
#include "base/fault.h"
#include "base/url.h"
#include <stddef.h>
#include <stdint.h>

struct request;

enum body_kind {
    BODY_NONE, /* read and thrown away */
    BODY_JSON, /* an object, at most JSON_BODY_MAX; request_json() */
    /* The same, or with Content-Type: application/octet-stream any bytes, as
     * many; request_bytes() */
    BODY_BYTES,
    BODY_STREAM /* handed to the route's write() as it arrives */
};
enum { JSON_BODY_MAX = 16 << 20 };

struct route {
    const char *method;  /* GET answers HEAD too */
    const char *pattern; /* below /v1/, "*" for a parameter */
    enum body_kind body;
    void (*handle)(struct request *r);
    /* BODY_STREAM: before the first byte (`length` -1 if unknown), and each
     * piece. A failure becomes the reply; handle() is not called then. */
    int (*open)(struct request *r, int64_t length, struct fault *f);
    int (*write)(struct request *r, const void *data, size_t length,
                 struct fault *f);
    /* BODY_JSON, BODY_BYTES: what it takes to read the body, before handle(),
     * which then finds it by request_state(); or NULL. In a worker when the
     * body is large: of the context it may use what never changes. */
    int (*digest)(struct request *r, struct fault *f);
};

enum { ROUTE_PARAMETERS = 4 };

struct route_match {
    const struct route *route;
    const char *params[ROUTE_PARAMETERS]; /* of the URL, one for each "*" */
    size_t prefix_count;                  /* segments before v1 */
};

/* Finds the route of a request. `tables` ends with NULL, each of them with a
 * NULL method. 404 when the path
 * has none; 405, and the methods that it takes in `allow`, when the method has
 * none. prefix_count is set in any case. */
int route_find(const struct route *const *tables, const struct url *u,
               const char *method, struct route_match *out,
               struct buffer *allow, struct fault *f);

#endif
