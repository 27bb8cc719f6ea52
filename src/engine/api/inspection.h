/* inspection.h: what the handlers that read the files of images share. */
#ifndef CONTREE_API_INSPECTION_H
#define CONTREE_API_INSPECTION_H

#include "api/api.h"
#include "base/work.h"
#include "view/view.h"
#include <stdatomic.h>

/* Which image, and where in it. */
struct inspection {
    struct inspection *next, **link; /* in engine.inspections */
    struct request *request;         /* NULL: the client has gone */
    struct engine *engine;
    char image[UUID_SIZE];
    int64_t *layers;
    size_t layer_count;
    char *path; /* as asked for; NULL if it was not */
};
/* Looks up the image of the request, whose layers stay until inspection_clear()
 * (on the loop). Clear it in any case, and do not move it before. */
int inspection_start(struct request *r, struct inspection *i, struct fault *f);
void inspection_clear(struct inspection *i);
/* The same for an image, which it clears. */
int inspection_use(struct inspection *i, struct engine *e, struct image *image,
                   struct fault *f);
/* Worker. */
struct view *inspection_view(const struct inspection *i, struct fault *f);

/* An inspection by a worker that ends in one reply: JSON, text or a file. The
 * first member of a larger struct, if the endpoint has more to remember. */
struct inspect_job {
    struct job job;
    struct inspection at;
    /* In a worker: fills the reply or `fd`. */
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
/* Makes one of `bytes` for the image of the request; NULL after it has replied
 * with why not. Then either start or refuse it. */
void *inspect_job_new(struct request *r, size_t bytes,
                      int (*work)(struct inspect_job *j, struct view *v));
/* Hands it to a worker; replies when that is done, unless the client left. */
void inspect_job_start(struct inspect_job *j);
/* Replies with the fault, and frees it. */
void inspect_job_refuse(struct inspect_job *j, const struct fault *f);
/* True if the request has a path; else it is refused. */
bool inspect_job_has_path(struct inspect_job *j);

#endif
