/* tree.h: what theirs changed since the base, done to ours. */
#ifndef CONTREE_MERGE_TREE_H
#define CONTREE_MERGE_TREE_H

#include "base/deadline.h"
#include "base/fault.h"
#include "merge/conflict.h"
#include "merge/upper.h"

struct view;

/* Which side wins where both changed something. */
enum merge_prefer { MERGE_NEITHER, MERGE_OURS, MERGE_THEIRS };

struct tree_merge {
    int dir_fd;
    struct view *base, *ours, *theirs;
    enum merge_prefer prefer;
    struct deadline deadline;
    struct upper *upper;
    struct merge_conflicts *conflicts;
};

/* Fill `upper` with what the result has in addition to ours. Without a
 * preference nothing more is written from the first conflict on. */
int merge_trees(const struct tree_merge *t, struct fault *f);
/* For upper.look: a directory as ours has it, else as theirs does. */
int merge_look(const struct tree_merge *t, const char *path,
               struct upper_like *out, struct fault *f);

#endif
