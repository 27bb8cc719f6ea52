/* options.h: what to unpack, and what came of it. */
#ifndef CONTREE_UNPACK_OPTIONS_H
#define CONTREE_UNPACK_OPTIONS_H

#include "base/deadline.h"
#include "base/fault.h"
#include "base/ids.h"
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

struct filler;

/* A path in the layers below the one that is unpacked. */
struct unpack_below {
    uint32_t uid, gid, mode; /* ids as in the sandbox; mode with the type */
    uint64_t inode;          /* the names of one file have the same */
    int64_t bytes;           /* on the disk */
    struct timespec mtime;
    char target[PATH_MAX]; /* of a symbolic link */
};

/* The name that unpack_options.copy gives a file, in the root: no entry of a
 * layer can have it. */
#define UNPACK_COPY ".wh..wh.copy"

struct unpack_options {
    struct id_range ids;
    /* .wh.NAME and .wh..wh..opq become overlay's whiteouts and opaque marks, as
     * in OCI image layers; otherwise such names are not special. */
    bool whiteouts;
    /* The directory that the archive's names are relative to, such as "work";
     * NULL is the root. It is found as the directory of a name is, through
     * links, and made if need be. "." is this directory and must be one. */
    const char *at;
    int64_t max_bytes;   /* of all contents; 0: 12 GiB */
    int64_t max_entries; /* with directories that are implied; 0: 2,000,000 */
    struct deadline deadline;
    /* Reads the archive in place of a descriptor: up to `size` bytes, 0 at the
     * end, -1 with the fault. May be NULL. */
    ssize_t (*read)(void *arg, void *data, size_t size, struct fault *f);
    void *read_arg;
    /* Finds `path`, which leads through no symbolic link, in the layers below.
     * 1: `out` is filled; 0: there is nothing; -1 with the fault ends the
     * unpacking. NULL: there are no layers below. */
    int (*below)(void *arg, const char *path, struct unpack_below *out,
                 struct fault *f);
    /* Copies the regular file `path` from below to UNPACK_COPY in `root`, with
     * its owner, mode, times and attributes. */
    int (*copy)(void *arg, const char *path, int root, struct fault *f);
    void *below_arg;
    struct filler *filler; /* writes files meanwhile; or NULL (filler.h) */
    /* Called now and then, when much more was unpacked. May be NULL. */
    void (*advanced)(void *arg);
    void *advanced_arg;
};

struct unpack_result {
    int64_t entries, bytes;
    int64_t skipped; /* device nodes, and attributes that cannot be kept */
};

#endif
