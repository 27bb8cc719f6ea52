/* api.h: what the handlers of the REST API (http-api.md §4) share. */
#ifndef CONTREE_API_API_H
#define CONTREE_API_API_H

#include "base/buffer.h"
#include "base/fault.h"
#include "base/uuid.h"
#include "http/http.h"
#include "operation/engine.h"
#include "operation/operation.h"
#include "store/store.h"

static inline struct engine *request_engine(const struct request *r) {
    return request_context(r);
}
/* Read limit, offset, since and until of a list: 400. */
int api_page(struct request *r, struct page *out, struct fault *f);
/* The most bytes of a reply in JSON. */
enum { REPLY_MAX = 64 << 20 };
/* Begin the reply of a list: an object whose member `key` is an array. */
void api_open_list(struct buffer *b, const char *key);
/* Reply with the list, or with the fault if `result` is negative. */
void api_reply_list(struct request *r, struct buffer *b, int result,
                    const struct fault *f);
/* Read the nth path parameter, a uuid, in lower case. 404 if it is malformed:
 * there is no such `what`. */
int api_uuid(struct request *r, size_t n, const char *what, char out[UUID_SIZE],
             struct fault *f);
/* Call change() in a worker, make the change durable, then call reply() on the
 * loop, or reply with the fault. Takes over `state`, which both get; NULL is
 * out of memory. */
void api_change(struct request *r, void *state,
                int (*change)(struct engine *e, void *state, struct fault *f),
                void (*reply)(struct request *r, void *state));

/* Add an Image object (http-api.md §5.1) to the reply. */
void image_write(const struct request *r, struct buffer *b, const char *key,
                 const struct image *i);
/* Check that a command means our data directory, if it names one (not NULL):
 * 409.
 */
int api_directory(struct engine *e, const char *asked, struct fault *f);

#endif
