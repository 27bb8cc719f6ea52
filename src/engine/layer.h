/* layer.h: layer directories and the workspaces in which runs write.
 *
 *   l/0/           the skeleton: empty /proc /dev /sys /etc ..., lowest lower directory of every mount
 *   l/N/           layer N: an overlay upper directory, never written again once published
 *   w/N/u w/N/w    a workspace: upper and work directory of one run
 *   trash/         what waits to be deleted by a worker
 *
 * Files inside carry the owner ids of the sandbox shifted by the engine's id base (userns.h) and the overlay's own
 * attributes in user.overlay.*. All paths are relative to the data directory, so that they stay short and work
 * after fchdir(dir_fd). */
#ifndef CONTREE_LAYER_H
#define CONTREE_LAYER_H

#include "store.h"

struct layers;

/* Makes the directories, the skeleton, and moves what a killed engine left (workspaces, layers without a row) to the
 * trash. id_base: see userns.h. */
struct layers *layers_open(int dir_fd, struct store *s, uid_t id_base,
                           struct fault *f);
void layers_close(struct layers *l);
void layer_path(int64_t id, char out[32]); /* "l/123" */

struct workspace {
    int64_t number;
    char upper[32], work[32]; /* "w/7/u", "w/7/w" */
};
/* A clean workspace, recycled when one is at hand. Loop thread. */
int workspace_take(struct layers *l, struct workspace *out, struct fault *f);
/* True when the run wrote nothing. Loop thread or worker. */
int workspace_is_empty(struct layers *l, const struct workspace *w,
                       bool *empty, struct fault *f);
/* Sum of bytes (allocated as a user would count them: file sizes, hard links once, plus 4096 a directory entry never
 * counted) below the upper directory. Worker. */
int workspace_size(struct layers *l, const struct workspace *w, int64_t *bytes,
                   struct fault *f);
/* Publishes the upper directory as a new layer on top of `parent`, durably: fsync of what it contains, rename, row.
 * The workspace is consumed. Worker. */
int workspace_publish(struct layers *l, const struct workspace *w,
                      int64_t parent, int64_t *layer, int64_t *bytes,
                      struct fault *f);
/* Gives a workspace back: recycled if clean, else moved to the trash. Cheap; deletion happens in trash_empty(). */
void workspace_drop(struct layers *l, const struct workspace *w);
/* Deletes what is in the trash. Worker. */
void trash_empty(struct layers *l);
bool trash_is_empty(struct layers *l);

/* An empty directory to unpack an image into; publish or drop it like a workspace. */
int workspace_take_for_import(struct layers *l, struct workspace *out,
                              struct fault *f);

#endif
