/* kind.h: what somebody gave us as the tar of a root file system: other tools
 * save images in other ways, and downloads are not always what they seem. */
#ifndef CONTREE_UNPACK_KIND_H
#define CONTREE_UNPACK_KIND_H

#include <limits.h>
#include <stddef.h>

enum tree_kind {
    TREE_ROOT,   /* a root file system, for all that is known */
    TREE_OCI,    /* an OCI layout: skopeo, buildah, podman, newer docker save */
    TREE_DOCKER, /* what older docker save writes */
    TREE_DIR,    /* skopeo's dir: */
    TREE_NESTED  /* a root file system lies in its directory `inner` */
};

/* What is in a directory, which may be hostile: by what only that has. */
enum tree_kind kind_of_tree(int dir, char inner[NAME_MAX + 1]);

/* What a file is that is no tar, by its beginning: "a zip archive"; NULL if
 * that is not known. KIND_BYTES are enough. */
enum { KIND_BYTES = 40 << 10 };
const char *kind_of_bytes(const void *data, size_t length);

#endif
