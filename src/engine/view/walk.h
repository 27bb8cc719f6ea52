/* walk.h: going through the directories of an image; see view.h. */
#ifndef CONTREE_VIEW_WALK_H
#define CONTREE_VIEW_WALK_H

#include "base/fault.h"
#include "view/item.h"
#include <stdbool.h>

struct view;

/* Visit the entries of a directory, sorted by the bytes of their names. `path`
 * may be a link to it; item.path is the real path. The visitor returns false to
 * stop. 422 when it is no directory, or has more than a million entries. */
int inspect_list(struct view *v, const char *path,
                 bool (*visit)(void *arg, const struct item *i), void *arg,
                 struct fault *f);

/* Walk the tree from `path` down: `path` itself, then everything below, depth
 * first and sorted. `path` may be a link; links below are not followed. */
struct walk;
struct walk *walk_begin(struct view *v, const char *path, struct fault *f);
/* 1: `out` is the next item, its strings valid until the next call; 0: the end;
 * -1: fault. */
int walk_next(struct walk *w, struct item *out, struct fault *f);
/* Open the current item, a regular file or a directory. */
int walk_open(struct walk *w, struct fault *f);
/* Leave out what is in the current item, a directory. */
void walk_skip(struct walk *w);
void walk_end(struct walk *w);

#endif
