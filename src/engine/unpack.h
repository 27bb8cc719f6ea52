/* unpack.h: a tar archive, which may be hostile, into a directory. */
#ifndef CONTREE_UNPACK_H
#define CONTREE_UNPACK_H

#include "userns.h"
#include "util.h"
#include <stdatomic.h>

/* With ids as they are in the sandbox. */
struct unpack_owner {
    uint32_t uid, gid, mode;
};

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
    /* Asked what the directory `path` is like that this one comes to lie over:
     * 1 and `out`, 0 for none, -1 with the fault to end it. Asked of those that
     * are made because something is in them, and first of all of the root (path
     * ""): the archive may never say. NULL: such are root's, with mode 0755. */
    int (*below)(void *arg, const char *path, struct unpack_owner *out,
                 struct fault *f);
    void *below_arg;
};

struct unpack_result {
    int64_t entries, bytes;
    int64_t skipped; /* device nodes, and attributes that cannot be kept */
};

/* Unpacks the archive that `fd` gives (tar, PAX or GNU; plain, gzip, bzip2, xz
 * or zstd) below `root`, a directory open for reading. Blocks: worker.
 *
 * Nothing outside `root` is touched: every path is resolved by the kernel
 * inside it, ".." is refused, absolute names are taken as relative, a later
 * entry replaces an earlier one of the same name. Owners are shifted by
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
