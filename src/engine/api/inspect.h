/* inspect.h: what inspect.c and archive.c share. */
#ifndef CONTREE_API_INSPECT_H
#define CONTREE_API_INSPECT_H

#include "api/api.h"
#include "base/fault.h"
#include "base/uuid.h"
#include "base/work.h"
#include "view/view.h"

/* Which image, and where in it. */
struct inspection {
    struct inspection *next, **link; /* in engine.inspections */
    struct request *request;
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

#endif
