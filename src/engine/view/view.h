/* view.h: reading an image without running anything.
 *
 * A view is the tree that a run of the image would see, put together from its
 * layer directories: an entry of a higher layer hides the same name below,
 * directories are merged, whiteouts (character device 0:0) and opaque
 * directories (user.overlay.opaque) hide what is below them. Symbolic links are
 * followed inside the image only. Only regular files and directories are ever
 * opened, so a FIFO cannot block and a device is not touched.
 *
 * Everything in this room blocks on the disk: call it in a worker. One thread
 * at a time may use a view; several views of one image are fine. Layers never
 * change, so neither does what a view shows.
 *
 * Paths are absolute and start at the image's root: 400 for others, 404 for a
 * path that does not exist, 422 for a loop of links. All strings are bytes, not
 * UTF-8. */
#ifndef CONTREE_VIEW_VIEW_H
#define CONTREE_VIEW_VIEW_H

#include "base/fault.h"
#include "base/ids.h"
#include "view/item.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

struct view;
/* `layers`: the highest first, as store_layer_chain() gives them; a negative
 * one is a layer that is being made (layer_path()). They are copied, and the
 * skeleton is added below them. 500 when a layer is not on the disk. */
struct view *view_open(int dir_fd, const int64_t *layers, size_t count,
                       struct id_range ids, struct fault *f);
void view_close(struct view *v);

/* Look at a path. The item's strings are valid until the next call with this
 * view. `follow`: a symbolic link as the last part is followed. */
int inspect_stat(struct view *v, const char *path, bool follow,
                 struct item *out, struct fault *f);
/* Open a regular file for reading. `st` may be NULL. 422 when it is something
 * else. */
int inspect_open(struct view *v, const char *path, struct stat *st,
                 struct fault *f);

#endif
