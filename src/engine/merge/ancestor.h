/* ancestor.h: the image from which two others came. */
#ifndef CONTREE_MERGE_ANCESTOR_H
#define CONTREE_MERGE_ANCESTOR_H

#include "base/fault.h"
#include "store/store.h"

/* Find the nearest image that both descend from, or are; runs lead from an
 * image to its parent, and merges to two. 422, with what to do, when there is
 * none, or when it is gone. Worker: it reads many rows. */
int merge_ancestor(struct store *s, const char *ours, const char *theirs,
                   struct image *out, struct fault *f);

#endif
