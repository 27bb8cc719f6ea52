/* walk.h: going through the directories of an image; see view.h. */
#ifndef CONTREE_VIEW_WALK_H
#define CONTREE_VIEW_WALK_H

#include "base/fault.h"
#include "view/item.h"
#include <stdbool.h>

struct view;

/* The entries of a directory (or of what a link to one names), sorted by the
 * bytes of their names; item.path is the real path. The visitor returns false
 * to stop. 422 when it is no directory, or one of more than a million entries.
 */
int inspect_list(struct view *v, const char *path,
                 bool (*visit)(void *arg, const struct item *i), void *arg,
                 struct fault *f);

/* Everything from `path` (a link is followed) down: first itself, then, depth
 * first and sorted, what is below; links are not followed. */
struct walk;
struct walk *walk_begin(struct view *v, const char *path, struct fault *f);
/* 1: `out` is the next item, its strings valid until the next call; 0: the end;
 * -1: fault. */
int walk_next(struct walk *w, struct item *out, struct fault *f);
/* Opens the current item, a regular file or a directory. */
int walk_open(struct walk *w, struct fault *f);
/* Not into the current item, a directory. */
void walk_skip(struct walk *w);
void walk_end(struct walk *w);

#endif
