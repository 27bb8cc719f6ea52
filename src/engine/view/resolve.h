/* resolve.h: where a path of the image leads. For this room. */
#ifndef CONTREE_VIEW_RESOLVE_H
#define CONTREE_VIEW_RESOLVE_H

#include "base/fault.h"
#include "view/item.h"
#include "view/merge.h"
#include <stdbool.h>

/* A path that was resolved, with the levels of all directories on the way. */
struct resolved {
    char path[INSPECT_PATH];
    size_t length;
    struct level *way;
    size_t depth;     /* way[depth] is the last directory */
    struct node node; /* its level is empty: a directory's is way[depth] */
};
/* Resolves a path of the image; `follow`: also a symbolic link at its end.
 * Free `p` whatever the outcome. */
int resolve_path(const struct view *v, const char *path, bool follow,
                 struct resolved *p, struct fault *f);
void resolved_free(struct resolved *p);

/* Whether `name` in the directory `dir` has a path of less than INSPECT_PATH.
 */
bool path_fits(const char *dir, const char *name);

#endif
