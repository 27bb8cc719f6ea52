/* same.h: whether two entries of images are the same; see view.h. */
#ifndef CONTREE_VIEW_SAME_H
#define CONTREE_VIEW_SAME_H

#include "base/deadline.h"
#include "base/fault.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

/* An entry by the layer that has it. Its path is without links. */
struct placed {
    struct stat st; /* owners as the sandbox sees them */
    int64_t layer;
};

/* Open a regular file or a directory. -1 with errno. */
int placed_open(int dir_fd, const struct placed *p, const char *path,
                int flags);
/* Read a symbolic link. -1 with errno. */
int placed_target(int dir_fd, const struct placed *p, const char *path,
                  char *out, size_t size);

/* Compare two entries of one path, of which one may be another's copy. 1: the
 * same; 0: not; -1: fault. Content is the type, the bytes of a file, the target
 * of a link, the number of a device; a directory has none. Past the deadline
 * the answer is 1: check it. Attributes are those that layers keep. */
bool placed_is_one(const struct placed *a, const struct placed *b);
int placed_same_content(int dir_fd, const char *path, const struct placed *a,
                        const struct placed *b, const struct deadline *d,
                        struct fault *f);
int placed_same_attributes(int dir_fd, const char *path, const struct placed *a,
                           const struct placed *b, struct fault *f);

#endif
