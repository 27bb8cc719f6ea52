/* root.h: making and replacing entries in the directory that is unpacked into.
 * `parent` is an open directory in it. */
#ifndef CONTREE_UNPACK_ROOT_H
#define CONTREE_UNPACK_ROOT_H

#include "unpack/state.h"

/* Open a path without links; "" is the root. -1 with errno. */
int root_open(const struct unpack *u, const char *place, int flags);
/* Remove what this archive has made at `name`. */
int root_make_way(struct unpack *u, int parent, const char *name);
/* Make a directory that belongs to root, unless there is one. */
int root_make_directory(struct unpack *u, int parent, const char *name);
/* Hide what the layers below have in a directory. */
int root_set_opaque(struct unpack *u, int parent, const char *name);

#endif
