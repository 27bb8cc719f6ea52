/* hide.h: whiteouts: hiding what the layers below have. */
#ifndef CONTREE_UNPACK_HIDE_H
#define CONTREE_UNPACK_HIDE_H

#include "unpack/state.h"

/* Hide `name` in the directory of the last entry, if it is below: a whiteout of
 * nothing would show in lists of the directory. */
int hide_name(struct unpack *u, int parent, const char *name);
/* Hide everything in the open directory, and remove whiteouts in it: they have
 * nothing to hide any more. */
int hide_all(struct unpack *u, int dir);
/* Remove whiteouts and implied directories in the directory `name` of `parent`,
 * and itself if nothing else is in it and the archive has not described it. 1:
 * it stays; 0: it is gone. */
int hide_prune(struct unpack *u, int parent, const char *name);

#endif
