/* unpack.h: unpacks a tar archive, which may be hostile, into a directory. */
#ifndef CONTREE_UNPACK_UNPACK_H
#define CONTREE_UNPACK_UNPACK_H

#include "base/fault.h"
#include "unpack/options.h"

/* Unpack the archive that `fd` gives (tar, PAX or GNU; plain, gzip, bzip2, xz
 * or zstd) below `root`, a directory open for reading. Blocks: call it in a
 * worker.
 *
 * The outcome is that of containerd's archive.Apply in the tree that the layers
 * below and this one show together:
 *
 *   - a symbolic link in the directories of a name is followed inside that
 *     tree, whichever layer has it, and what it leads to is made if need be;
 *   - a directory that the archive does not describe is like the one below, or
 *     belongs to root with mode 0755;
 *   - a hard link may name a file below, which then is one file with all its
 *     new names;
 *   - an entry replaces what has its name. A directory does not replace another
 *     directory, whose contents stay;
 *   - a whiteout hides what is below, never what this archive has (as the OCI
 *     image specification demands).
 *
 * Nothing outside `root` is touched: every path is resolved inside it, ".." is
 * refused, absolute names are taken as relative. Owners are shifted by
 * ids.base, set-id bits are kept. An id beyond ids.count is refused; with a
 * count of 1 all files get that one id. Device nodes are left out, because
 * sandboxes have a /dev of their own; FIFOs are made. Extended attributes are
 * kept if they are user.*, without those of overlay, or security.capability.
 *
 * 413 beyond a limit, 422 for a bad archive, 507 on a full disk, 408 past the
 * deadline, 409 when cancelled. What was unpacked until then stays in `root`:
 * the caller deletes it. */
int unpack_tar(int root, int fd, const struct unpack_options *o,
               struct unpack_result *result, struct fault *f);

#endif
