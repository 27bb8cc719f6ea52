/* unpack.h: a tar archive, which may be hostile, into a directory. */
#ifndef CONTREE_UNPACK_UNPACK_H
#define CONTREE_UNPACK_UNPACK_H

#include "base/fault.h"
#include "base/ids.h"
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

/* What is at a path in the layers that this one comes to lie over. */
struct unpack_below {
    uint32_t uid, gid, mode; /* ids as in the sandbox; mode with the type */
    uint64_t inode;          /* the names of one file have the same */
    int64_t bytes;           /* on the disk */
    struct timespec mtime;
    char target[PATH_MAX]; /* of a symbolic link */
};

/* Where unpack_options.copy puts a file: in the root, by a name that no entry
 * of a layer can have. */
#define UNPACK_COPY ".wh..wh.copy"

struct unpack_options {
    struct id_range ids;
    /* .wh.NAME and .wh..wh..opq become overlay's whiteouts and opaque marks
     * (OCI image layers); else they are files like others. */
    bool whiteouts;
    int64_t max_bytes;            /* of all contents; 0: 12 GiB */
    int64_t max_entries;          /* made directories included; 0: 2,000,000 */
    double deadline;              /* monotonic_seconds(); 0: none */
    const atomic_bool *cancelled; /* may be NULL */
    /* Gives the archive instead of a descriptor: up to `size` bytes, 0 at the
     * end, -1 with the fault. NULL: there is a descriptor. */
    ssize_t (*read)(void *arg, void *data, size_t size, struct fault *f);
    void *read_arg;
    /* The layers below. NULL: there are none. What is at `path`, which leads
     * through no symbolic link: 1 and `out`, 0 for nothing, -1 with the fault
     * to end it. */
    int (*below)(void *arg, const char *path, struct unpack_below *out,
                 struct fault *f);
    /* Copies the regular file `path` of theirs to UNPACK_COPY in `root`, with
     * its owner, mode, times and attributes. */
    int (*copy)(void *arg, const char *path, int root, struct fault *f);
    void *below_arg;
};

struct unpack_result {
    int64_t entries, bytes;
    int64_t skipped; /* device nodes, and attributes that cannot be kept */
};

/* Unpacks the archive that `fd` gives (tar, PAX or GNU; plain, gzip, bzip2, xz
 * or zstd) below `root`, a directory open for reading. Blocks: worker.
 *
 * The outcome is what containerd's archive.Apply makes of it in the tree that
 * is below: symbolic links in the directories of a name are followed inside
 * that tree, whichever layer has them, and what they lead to is made if need
 * be; a directory that the archive does not describe is like the one below, or
 * root's with mode 0755; a hard link may name a file below, which then is one
 * file with all its new names; an entry replaces what has its name, but a
 * directory another one, whose contents stay. A whiteout hides what is below,
 * never what this archive brings (as the OCI image specification has it).
 *
 * Nothing outside `root` is touched: every path is resolved inside it, ".." is
 * refused, absolute names are taken as relative. Owners are shifted by
 * ids.base, set-id bits kept; an id beyond ids.count is refused, unless there
 * is only one id: then everything belongs to it. Device nodes are left out
 * (sandboxes have a /dev of their own), FIFOs made. Of the extended attributes
 * user.* (but overlay's) and security.capability are kept.
 *
 * 413 beyond a limit, 422 for a bad archive, 507 on a full disk, 408 past the
 * deadline, 409 when cancelled. What was unpacked until then stays in `root`
 * for the caller to delete. */
int unpack_tar(int root, int fd, const struct unpack_options *o,
               struct unpack_result *result, struct fault *f);

#endif
