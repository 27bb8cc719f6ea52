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
/* limit, offset, since and until of the lists. */
int api_page(struct request *r, struct page *out, struct fault *f);
/* The nth path parameter as a uuid in lower case; 404 naming `what` when it is
 * none. */
int api_uuid(struct request *r, size_t n, const char *what, char out[UUID_SIZE],
             struct fault *f);
/* Does `change` in a worker, makes it durable, then replies: with the fault, or
 * as `reply` says. `state` (owned, freed) holds what both need. */
void api_change(struct request *r, void *state,
                int (*change)(struct engine *e, void *state, struct fault *f),
                void (*reply)(struct request *r, void *state));

/* Adds an Image object (http-api.md §5.1). */
void image_write(struct buffer *b, const char *key, const struct image *i);
/* The data directory that a command means is ours; NULL: it did not say. 409
 * when it is not. */
int api_directory(struct engine *e, const char *asked, struct fault *f);

#endif
