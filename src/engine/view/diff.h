/* diff.h: what changed between two images; see view.h. */
#ifndef CONTREE_VIEW_DIFF_H
#define CONTREE_VIEW_DIFF_H

#include "base/deadline.h"
#include "base/fault.h"
#include "view/same.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

struct view;

enum change_kind { CHANGE_ADDED, CHANGE_CHANGED, CHANGE_REMOVED };

struct change {
    const char *path; /* "etc/passwd"; "" the root */
    enum change_kind kind;
    struct stat st;         /* as it is now; a removed one as it was */
    const struct stat *was; /* before the change; NULL unless CHANGED */
    /* What each view has there; NULL: nothing. */
    const struct placed *base, *image, *beside;
    /* Something else is in the way of the path in the view beside. */
    bool blocked;
};

struct diff_options {
    int64_t limit;    /* changes; at least 1 */
    const char *path; /* "etc": only it and what is below; NULL: all */
    struct deadline deadline;
    bool attributes; /* extended attributes are compared, too */
    struct view
        *beside; /* a third view, which changes are told with; or NULL */
};

/* Visit each path that differs between `base` and `image`, parents first,
 * siblings sorted. A path has changed when its type, mode, owner, content or
 * target has; a new time alone is no change, and a directory does not change
 * with its entries. Layers that both share are read only where one of the views
 * hides something of them. `*truncated`: the limit or the deadline ended it.
 * The visitor returns false to stop. Both views must be of one data directory.
 */
int inspect_diff(struct view *base, struct view *image,
                 const struct diff_options *o,
                 bool (*visit)(void *arg, const struct change *c), void *arg,
                 bool *truncated, struct fault *f);

#endif
