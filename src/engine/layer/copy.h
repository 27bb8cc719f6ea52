/* copy.h: copying a file from one layer to another. All return 0, or -1 with
 * errno. */
#ifndef CONTREE_LAYER_COPY_H
#define CONTREE_LAYER_COPY_H

#include "base/deadline.h"
#include "base/scope.h"
#include <sys/stat.h>
#include <sys/types.h>

struct copier {
    char *piece; /* COPY_PIECE bytes to copy with */
    struct deadline deadline;
};
enum { COPY_PIECE = 1 << 18 };

/* Copy the data of a file of `size` bytes; the file system shares it if it can,
 * and holes stay holes. ECANCELED when the deadline is over. Both files are at
 * their start, and `to` is empty. */
int copy_data(const struct copier *c, int from, int to, off_t size) MUST_CHECK;
/* Set owner, mode, attributes and times of an open file or directory to those
 * of `from`, whose stat is `st`, in an order in which none undoes another.
 * Attributes of overlay, and those that only the host has, are left out. */
int copy_metadata(const struct copier *c, int from, int to,
                  const struct stat *st) MUST_CHECK;
/* Make `name` in `to` what the symbolic link, FIFO or socket at `path` is, with
 * the owner, mode and times of `st`. */
int copy_special(int dir, const char *path, int to, const char *name,
                 const struct stat *st) MUST_CHECK;

#endif
