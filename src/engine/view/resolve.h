/* resolve.h: where a path of the image leads. For this room only. */
#ifndef CONTREE_VIEW_RESOLVE_H
#define CONTREE_VIEW_RESOLVE_H

#include "base/fault.h"
#include "view/item.h"
#include "view/merge.h"
#include <stdbool.h>

/* A path that was resolved. `way` holds the parts of each directory on it, from
 * the root down, so that ".." can go back. */
struct resolved {
    char path[INSPECT_PATH];
    size_t length;
    struct parts *way;
    size_t depth;     /* way[depth]: of the last directory */
    struct node node; /* without parts: those of a directory are way[depth] */
};
/* Resolve a path. `follow`: a symbolic link at its end is followed, too. Free
 * `p` whatever the outcome. */
int resolve_path(const struct view *v, const char *path, bool follow,
                 struct resolved *p, struct fault *f);
void resolved_free(struct resolved *p);

/* Whether the path of `name` in `dir` is shorter than INSPECT_PATH. */
bool path_fits(const char *dir, const char *name);

#endif
