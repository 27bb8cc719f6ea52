/* workspace.h: the directories in which runs write. All functions are
 * thread-safe.
 *
 *   workspace_take             a clean one
 *   workspace_inherit_root       for a run: its root directory is like the
 *                                parent's
 *   workspace_leave            give it back, or publish it (publish.h)
 *   workspaces_recycle         cleans those that were given back */
#ifndef CONTREE_LAYER_WORKSPACE_H
#define CONTREE_LAYER_WORKSPACE_H

#include "base/fault.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct layers;

struct workspace {
    int64_t number;
    char upper[32], work[32]; /* "w/7/u", "w/7/w" */
    mode_t mode; /* what the upper directory had when it was handed out */
    uid_t uid;
    gid_t gid;
};
/* Take a clean workspace, a used one if there is one: upper and work belong to
 * the sandbox's root, with mode 0755. */
int workspace_take(struct layers *l, struct workspace *out, struct fault *f);
/* Take a new one to unpack an image into. */
int workspace_take_for_import(struct layers *l, struct workspace *out,
                              struct fault *f);
/* Give the upper directory the mode and owner that the root directory of
 * `parent` has, so that a "chmod 700 /" or an image with a root of 0555 lasts.
 * 0 is the skeleton. Call it right after workspace_take(). */
int workspace_inherit_root(struct layers *l, struct workspace *w,
                           int64_t parent, struct fault *f);
/* Whether the run wrote nothing: no entry, and no new mode, owner or attribute
 * of the root directory. Loop thread or worker. */
int workspace_is_empty(struct layers *l, const struct workspace *w, bool *empty,
                       struct fault *f);
/* Give a workspace back: it is kept if it is clean, else moved to the trash. */
void workspace_drop(struct layers *l, const struct workspace *w);

/* Give a workspace back without a touch of the disk, which takes longer than
 * anything else that the engine does for a short run. */
void workspace_leave(struct layers *l, const struct workspace *w);
/* How many were left since the last workspaces_recycle(). */
size_t workspaces_left(struct layers *l);
/* Make clean what was left: what runs wrote is moved to the trash. Worker. */
void workspaces_recycle(struct layers *l);

/* For this room: move a workspace to the trash; free the list of those that
 * were left. */
void workspace_discard(struct layers *l, const struct workspace *w);
void workspaces_forget(struct layers *l);

#endif
