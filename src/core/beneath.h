/* beneath.h: files below a directory. No path leads out of it: "..", absolute
 * paths and symbolic links on the way are refused, also when they are made
 * meanwhile. */
#ifndef CONTREE_BENEATH_H
#define CONTREE_BENEATH_H

#include <sys/types.h>

#pragma GCC visibility push(hidden)

/* Opens a path below `root` as openat() does; -1 with errno set: EXDEV when it
 * would lead out, ELOOP at a symbolic link. */
int beneath_open(int root, const char *path, int flags, mode_t mode);
/* Opens the directory that holds `path`, and stores the last name of it. */
int beneath_parent(int root, const char *path, const char **name);
/* close() that keeps errno; takes -1. */
void beneath_close(int fd);

#pragma GCC visibility pop

#endif
