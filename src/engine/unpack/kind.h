/* kind.h: telling what a file is that was imported as the tar of a root file
 * system. Other tools save images in other formats, and a download may be an
 * error page. */
#ifndef CONTREE_UNPACK_KIND_H
#define CONTREE_UNPACK_KIND_H

#include <limits.h>
#include <stddef.h>

enum tree_kind {
    TREE_ROOT,   /* no sign of anything but a root file system */
    TREE_OCI,    /* an OCI layout: skopeo, buildah, podman, newer docker save */
    TREE_DOCKER, /* of older docker save */
    TREE_DIR,    /* of skopeo's dir: transport */
    TREE_NESTED  /* a root file system lies in its directory `inner` */
};

/* Tell the kind of an unpacked directory, which may be hostile, by the files
 * that only this kind has. */
enum tree_kind kind_of_tree(int dir, char inner[NAME_MAX + 1]);

/* Name the format of a file that is no tar, by its first bytes: "a zip
 * archive". NULL when it is unknown. KIND_BYTES are enough. */
enum { KIND_BYTES = 40 << 10 };
const char *kind_of_bytes(const void *data, size_t length);

#endif
