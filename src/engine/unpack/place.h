/* place.h: where the entries of the archive belong. */
#ifndef CONTREE_UNPACK_PLACE_H
#define CONTREE_UNPACK_PLACE_H

#include "unpack/state.h"

/* Open the directory in which the entry `path` belongs, and make it if need be;
 * *name is the last part of the path. The descriptor stays u's. */
int place_parent(struct unpack *u, const char *path, const char **name);
/* The path without links of the entry `name` of that directory. */
int place_of(struct unpack *u, const char *name, char out[PATH_MAX]);
/* Give the root the owner and mode of the one below. */
int place_root(struct unpack *u);

#endif
