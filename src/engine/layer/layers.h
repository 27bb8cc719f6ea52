/* layers.h: layer directories and the workspaces in which runs write.
 *
 *   l/0/         the skeleton: dev etc proc root run sys tmp, all empty; what
 *                every image has at least
 *   l/places/        the same for sandboxes, with empty files where the engine
 *                mounts its own (init/etc.c): the lowest lower directory of
 *                every mount, so that nothing is written to make room for them
 *   l/N/         layer N: an upper directory, never written again
 *   w/N/u w/N/w  a workspace: upper and work directory of one run
 *   trash/       what waits to be deleted by a worker
 *
 * Files inside carry the owner ids of the sandbox shifted by the engine's id
 * base (sandbox/userns.h) and the overlay's own attributes in user.overlay.*;
 * whiteouts are character devices 0:0. All paths are relative to the data
 * directory, so that they stay short and work after fchdir(dir_fd).
 *
 * A layer exists when its row does: the directory is moved into place and
 * synced first, so that after a crash there is at worst a directory without a
 * row, which layers_open() deletes. */
#ifndef CONTREE_LAYER_LAYERS_H
#define CONTREE_LAYER_LAYERS_H

#include "base/fault.h"
#include "store/store.h"
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

struct layers;

/* Makes the directories, the skeleton, and moves what a killed engine left
 * (workspaces, layers without a row) to the trash; logs layers that have a row
 * and no directory. id_base: see sandbox/userns.h; 409 when the directory was
 * made with another one. dir_fd must stay open until layers_close(). */
struct layers *layers_open(int dir_fd, struct store *s, uid_t id_base,
                           struct fault *f);
void layers_close(struct layers *l);
int layers_directory(const struct layers *l); /* dir_fd */

/* The lowest lower directory of every sandbox, with the mode that its places
 * for mounts need. */
#define LAYER_PLACES "l/places"

struct workspace {
    int64_t number;
    char upper[32], work[32]; /* "w/7/u", "w/7/w" */
    mode_t mode; /* what the upper directory had when it was handed out */
    uid_t uid;
    gid_t gid;
};
/* A clean workspace, recycled when one is at hand: upper and work belong to
 * root of the sandbox, mode 0755. Every function here is thread-safe. */
int workspace_take(struct layers *l, struct workspace *out, struct fault *f);
/* The upper directory is the root directory of the run: gives it the mode and
 * owner that `parent`'s has, so that a "chmod 700 /" or an image with a root of
 * 0555 lasts. Call it after workspace_take(); 0 is the skeleton. */
int workspace_inherit_root(struct layers *l, struct workspace *w,
                           int64_t parent, struct fault *f);
/* True when the run wrote nothing: no entry, and no new mode, owner or
 * attribute of the root directory itself. Loop thread or worker. */
int workspace_is_empty(struct layers *l, const struct workspace *w, bool *empty,
                       struct fault *f);
/* Sum of the sizes of the regular files below the upper directory: hard links
 * once, holes not at all, directories not at all; and the number of all names.
 * Worker. */
int workspace_size(struct layers *l, const struct workspace *w, int64_t *bytes,
                   int64_t *entries, struct fault *f);
/* Publishes the upper directory as a new layer on top of `parent`, durable on
 * return: moves it, syncs it, adds the row, syncs the store. `bytes` may be
 * NULL. The workspace is consumed, whatever the outcome. Worker. */
int workspace_publish(struct layers *l, const struct workspace *w,
                      int64_t parent, int64_t *layer, int64_t *bytes,
                      struct fault *f);
/* The same for a layer and the image that it is made for, in one transaction
 * and with one sync of the store. Fills i->layer and i->size. Worker. */
int workspace_publish_image(struct layers *l, const struct workspace *w,
                            int64_t parent, struct image *i, struct fault *f);
/* The same without that sync, for who has more to write: durable, with all that
 * is written until then, at the next store_sync(). */
int workspace_publish_unsynced(struct layers *l, const struct workspace *w,
                               int64_t parent, struct image *i,
                               struct fault *f);
/* The same for a layer that shows what `count` layers of a chain (its first,
 * see store_layer_squash()) show together. */
int workspace_publish_squashed(struct layers *l, const struct workspace *w,
                               const struct chain_layer *chain, size_t count,
                               struct fault *f);
/* A layer of an import on its way: what the store is to know of it, and its
 * workspace unless it is empty. */
struct workspace_layer {
    struct imported_layer row;
    struct workspace workspace;
    bool has_workspace;
};
/* Publishes the layers of an import, the lowest first, on top of `parent`, and
 * the image of them (see store_import_add()): all or nothing. The workspaces
 * are consumed, whatever the outcome. Worker. */
int workspaces_publish(struct layers *l, struct workspace_layer *list,
                       size_t count, int64_t parent, const char *config,
                       struct image *i, struct fault *f);
/* Gives a workspace back: recycled if clean, else moved to the trash. Cheap;
 * deletion happens in trash_empty(). */
void workspace_drop(struct layers *l, const struct workspace *w);
/* Moves a layer, or another path of the data directory, that nothing refers to
 * any more to the trash; false when it could not be moved. */
bool layer_discard(struct layers *l, const char *path);
/* Deletes what is in the trash. Worker. */
void trash_empty(struct layers *l);
/* Nothing was put into the trash since the last trash_empty() began. */
bool trash_is_empty(struct layers *l);

/* An empty directory to unpack an image into; publish or drop it like a
 * workspace. */
int workspace_take_for_import(struct layers *l, struct workspace *out,
                              struct fault *f);

#endif
