/* layers.h: layer directories and the workspaces in which runs write.
 *
 *   l/0/         the skeleton: dev etc proc root run sys tmp, all empty; what
 *                every image has at least
 *   l/places/        the same for sandboxes, with empty files where the engine
 *                mounts its own (init/etc.c): the lowest lower directory of
 *                every mount, so that nothing is written to make room for them
 *   l/N/         layer N: an upper directory, never written again
 *   w/N/u w/N/w  a workspace: upper and work directory of one run
 *   v/UUID/      a volume (volumes.h)
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
#include "base/ids.h"
#include "store/store.h"
#include <sys/types.h>

struct layers;
struct view;

/* Open the layers of a data directory, and make what it lacks. What a killed
 * engine left (workspaces, layers without a row) goes to the trash; a layer
 * with a row but no directory is logged. id_base: see sandbox/userns.h; 409
 * when the directory was made with another one. dir_fd must stay open until
 * layers_close(). */
struct layers *layers_open(int dir_fd, struct store *s, uid_t id_base,
                           struct fault *f);
void layers_close(struct layers *l);
int layers_directory(const struct layers *l); /* dir_fd */

/* Open a view of an image whose highest layer is `layer`; 0: the skeleton
 * alone. Any thread. */
struct view *layers_view(int dir_fd, struct store *s, int64_t layer,
                         struct id_range ids, struct fault *f);

/* The lowest lower directory of every sandbox. */
#define LAYER_PLACES "l/places"

#endif
