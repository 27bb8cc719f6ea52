/* mounts.h: volumes and directories of the host in the root of a sandbox. The
 * engine orders them before it orders the root, so a cell keeps them meanwhile.
 *
 * The image chooses what is at their targets. So these are resolved by the
 * kernel inside the new root, where a link leads nowhere else, and never across
 * another mount: a target is in no other mount, nor in /proc, /sys or /dev. */
#ifndef CONTREE_INIT_MOUNTS_H
#define CONTREE_INIT_MOUNTS_H

#include "init/failure.h"
#include "init/protocol.h"

struct mount_spec {
    char *target; /* absolute and normal; owned, as the others */
    char *volume; /* the name of its directory below v/; NULL: see `tree` */
    int tree;     /* a detached mount of a directory of the host, or -1 */
};

struct mounts {
    struct mount_spec list[MOUNTS_MAX];
    unsigned count;
    unsigned placed; /* by mounts_place() */
};

/* Copies the names, and takes over `tree` also on failure. `volume` is "" for a
 * directory of the host. */
int mounts_add(struct mounts *m, const char *target, const char *volume,
               int tree, struct failure *f);
/* Mounts them all in the root and forgets them. A target that does not exist is
 * made: each new directory belongs to the owner of the one that it is made in.
 * An empty volume takes the owner and the mode of the directory that it covers.
 */
int mounts_place(struct mounts *m, int root, struct failure *f);
/* In the root: gives the volume that is mounted at `target` to a user, if it is
 * empty and root's. */
int mounts_give(const char *target, unsigned uid, unsigned gid,
                struct failure *f);

#endif
