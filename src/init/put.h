/* put.h: writing a file into the sandbox. The tree belongs to the author of
 * the image, so nothing in it is trusted: the kernel resolves parents inside
 * this root without magic links, and the file itself is always new. */
#ifndef CONTREE_INIT_PUT_H
#define CONTREE_INIT_PUT_H

#include "init/failure.h"

#include <stddef.h>
#include <stdint.h>

struct put_spec {
    const char *path; /* absolute */
    unsigned mode, uid, gid;
    char *const *attributes; /* names and values (hexadecimal) in turn */
    size_t attribute_count;  /* of strings */
};

/* Copies all that can be read from `from`. */
int put_file(const struct put_spec *p, int from, struct failure *f);
/* Opens `path` below `root`, following links inside it; -1 with errno. */
int put_open(int root, const char *path, int flags, unsigned mode);
/* The same, with further bits RESOLVE_... of openat2. */
int put_open_within(int root, const char *path, int flags, unsigned mode,
                    uint64_t resolve);

#endif
