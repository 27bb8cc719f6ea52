/* upper.h: makes entries of a layer, depth first, in a workspace. Directories
 * above an entry are made when it needs them, as overlay does when a run
 * writes; each gets its owner, mode and times when it is left. */
#ifndef CONTREE_MERGE_UPPER_H
#define CONTREE_MERGE_UPPER_H

#include "base/fault.h"
#include "base/ids.h"
#include "layer/copy.h"
#include "layer/workspace.h"
#include "view/item.h"
#include "view/same.h"
#include <stddef.h>
#include <stdint.h>

/* What an entry is to be like: the mode, owners (as the sandbox sees them) and
 * times of `st`, the attributes of the entry that is there. */
struct upper_like {
    struct stat st;
    struct placed attributes;
};

struct upper_step;
struct upper {
    int dir_fd;
    struct id_range ids;
    struct copier copier; /* its piece is owned */
    /* Tells what a directory that must be made is like. */
    int (*look)(void *arg, const char *path, struct upper_like *out,
                struct fault *f);
    void *arg;
    struct fault *f;

    int to, links; /* the directory that is being filled; one for hard links */
    char links_path[48];
    struct upper_step *top;
    char path[INSPECT_PATH]; /* of `to` */
    int64_t made;
};

/* Begin in a workspace, whose root becomes like `look` tells of "". The members
 * up to `f` are the caller's; the deadline is in the copier. End it with
 * upper_close(). */
int upper_open(struct upper *u, const struct workspace *w);
/* Leave all directories. */
int upper_finish(struct upper *u);
void upper_close(struct upper *u);

/* Each path must be behind the last one, depth first; none twice. */
int upper_directory(struct upper *u, const char *path,
                    const struct upper_like *like);
/* Copy what is no directory. `whole`: nothing is unlike it, so names of one
 * file become names of one file. */
int upper_copy(struct upper *u, const char *path, const struct placed *from,
               const struct upper_like *like, bool whole);
int upper_text(struct upper *u, const char *path, const char *data, size_t size,
               const struct upper_like *like);
/* Hide what the layers below have. */
int upper_hide(struct upper *u, const char *path);

#endif
