/* api.h: the handlers of the REST API (http-api.md §4), one file a resource,
 * and what they share. */
#ifndef CONTREE_API_API_H
#define CONTREE_API_API_H

#include "base/buffer.h"
#include "base/fault.h"
#include "base/uuid.h"
#include "http/http.h"
#include "operation/engine.h"
#include "operation/operation.h"
#include "store/store.h"

/* Ended by a NULL method; in routes.c. */
extern const struct route api_routes[];

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

void whoami_get(struct request *r);

void images_list(struct request *r);
void image_tag_set(struct request *r);
void image_tag_remove(struct request *r);
void images_import(struct request *r);
/* Adds an Image object (http-api.md §5.1). */
void image_write(struct buffer *b, const char *key, const struct image *i);

void files_list(struct request *r);
void file_get(struct request *r);
int file_upload_open(struct request *r, int64_t length, struct fault *f);
int file_upload_write(struct request *r, const void *data, size_t length,
                      struct fault *f);
void file_upload(struct request *r);

int instances_digest(struct request *r, struct fault *f);
void instances_spawn(struct request *r);

void operations_list(struct request *r);
void operation_get(struct request *r);
void operation_delete(struct request *r);
void operation_events(struct request *r);
/* Replies with the OperationResponse of an active operation, its result so far
 * included. */
void operation_reply(struct request *r, int status, struct operation *op);
/* The same for a stored one. */
void operation_reply_stored(struct request *r, int status, const char *uuid);

int subprocess_digest(struct request *r, struct fault *f);
void subprocess_create(struct request *r);
void subprocess_get(struct request *r);
void subprocess_kill(struct request *r);
int subprocess_stdin_digest(struct request *r, struct fault *f);
void subprocess_stdin(struct request *r);

void gc_post(struct request *r);
void import_post(struct request *r);
void export_post(struct request *r);
/* The data directory that a command means is ours; NULL: it did not say. 409
 * when it is not. */
int api_directory(struct engine *e, const char *asked, struct fault *f);
/* Begins to collect garbage, with the usual ages, if that was not done today;
 * true when it did. */
bool gc_when_due(struct engine *e);

void inspect_find(struct request *r);
void inspect_image(struct request *r);
void inspect_list_get(struct request *r);
void inspect_download(struct request *r);
void inspect_archive_get(struct request *r);
void inspect_grep_get(struct request *r);
void inspect_diff_get(struct request *r);

#endif
