/* implied.h: directories that the archive has not described, but which were
 * made because something is in them. An attribute marks them until the end, so
 * that a whiteout can remove those that were made in vain. */
#ifndef CONTREE_UNPACK_IMPLIED_H
#define CONTREE_UNPACK_IMPLIED_H

#include "unpack/state.h"

/* Mark the directory `name` of `parent`, whose path is `place`. */
int implied_mark(struct unpack *u, int parent, const char *place,
                 const char *name);
/* The archive describes this open directory now. */
void implied_clear(int dir);
/* Remove the directory if it is implied and empty; a tree_leave. -1 with errno.
 */
int implied_drop(void *unused, int parent, const char *name);
/* Clear all marks that are left. */
void implied_forget(struct unpack *u);

#endif
