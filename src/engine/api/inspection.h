/* inspection.h: what the handlers that read the files of images share. */
#ifndef CONTREE_API_INSPECTION_H
#define CONTREE_API_INSPECTION_H

#include "api/api.h"
#include "base/work.h"
#include "view/view.h"
#include <stdatomic.h>

/* An image that is inspected, and the path in it. */
struct inspection {
    struct inspection *next, **link; /* in engine.inspections */
    struct request *request;         /* NULL: the client has gone */
    struct engine *engine;
    char image[UUID_SIZE];
    int64_t *layers;
    size_t layer_count;
    char *path; /* absolute; NULL: the request has none */
};
/* Look up the image of the request. Its layers stay until inspection_clear().
 * Call that in any case, on the loop, and do not move the struct before. */
int inspection_start(struct request *r, struct inspection *i, struct fault *f);
void inspection_clear(struct inspection *i);
/* The same for an image, which is cleared. */
int inspection_use(struct inspection *i, struct engine *e, struct image *image,
                   struct fault *f);
/* Open the files of the image. In a worker. */
struct view *inspection_view(const struct inspection *i, struct fault *f);

/* An inspection by a worker that ends in one reply: JSON, text or a file. The
 * first member of a larger struct, if the endpoint has more to remember. */
struct inspect_job {
    struct job job;
    struct inspection at;
    /* Fills the reply or `fd`. In a worker. */
    int (*work)(struct inspect_job *j, struct view *v);
    /* Frees what the larger struct holds; or NULL. */
    void (*clear)(struct inspect_job *j);
    bool text; /* not JSON */
    struct buffer reply;
    int fd; /* >= 0: the reply */
    int64_t size;
    struct fault fault; /* status 0: none */
    atomic_bool cancelled;
};
/* Make a job of `bytes` bytes for the image of the request; then start or
 * refuse it. NULL if that failed: the fault was the reply. */
void *inspect_job_new(struct request *r, size_t bytes,
                      int (*work)(struct inspect_job *j, struct view *v));
/* Hand the job to a worker. When that is done, reply and free the job. */
void inspect_job_start(struct inspect_job *j);
/* Reply with the fault, and free the job. */
void inspect_job_refuse(struct inspect_job *j, const struct fault *f);
/* Whether the request has a path; if not, the job is refused. */
bool inspect_job_has_path(struct inspect_job *j);

#endif
