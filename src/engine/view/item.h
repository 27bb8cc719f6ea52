/* item.h: an entry of an image, as its reader gets it. */
#ifndef CONTREE_VIEW_ITEM_H
#define CONTREE_VIEW_ITEM_H

#include <stdint.h>
#include <sys/stat.h>

/* The longest path inside an image that can be read, with its NUL. */
#define INSPECT_PATH 4000

struct item {
    const char *path;   /* from the image's root: "etc/passwd"; "" the root */
    const char *name;   /* its last part */
    const char *target; /* of a symbolic link, else "" */
    struct stat st;     /* st_uid and st_gid as the sandbox sees them */
    int64_t layer;      /* where it is: (layer, st_ino) names the content */
};

#endif
