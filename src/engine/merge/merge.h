/* merge.h: an image of two that came from one. */
#ifndef CONTREE_MERGE_MERGE_H
#define CONTREE_MERGE_MERGE_H

#include "base/deadline.h"
#include "base/fault.h"
#include "base/ids.h"
#include "merge/conflict.h"
#include "merge/tree.h"
#include "store/store.h"
#include <stdint.h>

struct layers;

/* Where the images are. */
struct merger {
    int dir_fd;
    struct store *store;
    struct layers *layers;
    struct id_range ids;
};

struct merge_order {
    const struct image *ours, *theirs;
    const struct image *base; /* NULL: the nearest that both came from */
    enum merge_prefer prefer;
    const char *tag; /* given to the image; NULL: none */
    const char *operation;
    struct deadline deadline;
};

struct merge_outcome {
    struct image image; /* its uuid is "" unless it was made */
    char base[UUID_SIZE];
    bool refused;    /* there are conflicts, and none is preferred */
    int64_t changes; /* entries of the layer, with directories above them */
    struct merge_conflicts conflicts;
};
void merge_outcome_clear(struct merge_outcome *o);

/* Merge, durably. Nobody may remove layers or images meanwhile. The outcome is
 * filled, to be cleared, whatever is returned. Worker. */
int merge_images(const struct merger *m, const struct merge_order *o,
                 struct merge_outcome *out, struct fault *f);

#endif
