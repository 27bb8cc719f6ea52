/* diff.h: what changed between two images; see view.h. */
#ifndef CONTREE_VIEW_DIFF_H
#define CONTREE_VIEW_DIFF_H

#include "base/deadline.h"
#include "base/fault.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

struct view;

enum change_kind { CHANGE_ADDED, CHANGE_CHANGED, CHANGE_REMOVED };

struct change {
    const char *path; /* "etc/passwd"; "" the root */
    enum change_kind kind;
    struct stat st;         /* as it is now, or was if it was removed */
    const struct stat *was; /* of what is changed; else NULL */
};

struct diff_options {
    int64_t limit;    /* changes; at least 1 */
    const char *path; /* "etc": only it and what is below; NULL: all */
    struct deadline deadline;
};

/* Tells what `image` has that `base` has not, and the other way round: each
 * path, parents first, siblings sorted. Changed is what has another type, mode,
 * owner, content or target; a time alone is no change, nor is a directory whose
 * entries changed. Of the layers that both share nothing is read but what one
 * of them hides. `*truncated` when the limit or the deadline ended it. The
 * visitor returns false to stop. Both views must be of one data directory. */
int inspect_diff(struct view *base, struct view *image,
                 const struct diff_options *o,
                 bool (*visit)(void *arg, const struct change *c), void *arg,
                 bool *truncated, struct fault *f);

#endif
