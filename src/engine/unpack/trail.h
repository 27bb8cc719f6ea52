/* trail.h: following a path through the tree that the layers below and this one
 * show together.
 *
 * What the archive has made is in u->root: the kernel looks at it, one name at
 * a time and without following links. The caller is asked for what is below.
 * Links are followed here, by their text. */
#ifndef CONTREE_UNPACK_TRAIL_H
#define CONTREE_UNPACK_TRAIL_H

#include "unpack/state.h"

/* An entry of a directory. */
struct spot {
    enum { NOWHERE, HERE, BELOW } where;
    /* HERE: only the mode, the inode and the target are filled. */
    struct unpack_below is;
};
bool spot_is_directory(const struct spot *s);
/* Find a path without links in the layers below. */
int below_find(struct unpack *u, const char *path, struct spot *out);

/* A directory, by a path without links. It may exist in this layer, below, in
 * both or nowhere. */
struct trail {
    char path[PATH_MAX];
    size_t length;
    int here;   /* the directory in this layer, or -1 */
    bool below; /* what lower layers have in it is not hidden */
};
/* For CLEANUP: begin with {.here = -1}. */
void trail_end(struct trail *t);
/* Find the directory to which `dir`, the directory of `path`, leads. A part
 * that does not exist leads on as it is written. */
int trail_resolve(struct unpack *u, const char *path, const char *dir,
                  struct trail *t);
/* Go from the root down to `place`; `make`: make the directories. 1; 0: a link
 * or a file is on the way; -1. */
int trail_follow(struct unpack *u, struct trail *t, const char *place,
                 bool make);
/* Look at `name` in the directory. */
int trail_look(struct unpack *u, const struct trail *t, const char *name,
               struct spot *out);

#endif
