/* hardlink.h: the files that hard links of the archive name. A file below is
 * copied first, so that all its new names are one file. */
#ifndef CONTREE_UNPACK_HARDLINK_H
#define CONTREE_UNPACK_HARDLINK_H

#include "unpack/state.h"

/* Find the `target` of the hard link `path`. Returns an open directory, which
 * the caller closes, and the file's name in it. */
int hardlink_target(struct unpack *u, const char *path, const char *target,
                    char name[NAME_MAX + 1]);
/* At the end: give the files that were copied their name below again, unless
 * the archive hides or replaces it. */
int hardlink_finish(struct unpack *u);

#endif
