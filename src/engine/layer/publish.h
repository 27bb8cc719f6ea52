/* publish.h: workspaces become layers. A layer is durable once its function
 * returns: the directory is moved to its place and synced, then the rows are
 * added in one transaction, then the store is synced. A workspace is consumed,
 * whatever the outcome. Worker. */
#ifndef CONTREE_LAYER_PUBLISH_H
#define CONTREE_LAYER_PUBLISH_H

#include "base/fault.h"
#include "layer/survey.h"
#include "layer/workspace.h"
#include "store/store.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Publish a layer on top of `parent`, and the image of it. Fills i->layer and
 * i->size. */
int workspace_publish_image(struct layers *l, const struct workspace *w,
                            int64_t parent, struct image *i, struct fault *f);
/* The same for a caller that has surveyed the workspace, and has more to write
 * to the store: the layer is durable after the next store_sync(). The workspace
 * still has to be left, whether this worked or not. */
int workspace_publish_unsynced(struct layers *l, const struct workspace *w,
                               const struct survey *v, int64_t parent,
                               struct image *i, struct fault *f);
/* Publish a layer that shows what the first `count` layers of a chain show
 * together: see store_layer_squash(). */
int workspace_publish_squashed(struct layers *l, const struct workspace *w,
                               const struct chain_layer *chain, size_t count,
                               struct fault *f);

/* A layer of an import: its row to be, and its workspace unless it is empty. */
struct workspace_layer {
    struct imported_layer row;
    struct workspace workspace;
    bool has_workspace;
};
/* Publish the layers of an import, the lowest first, on top of `parent`, and
 * the image of them (store_import_add()): all or nothing. */
int workspaces_publish(struct layers *l, struct workspace_layer *list,
                       size_t count, int64_t parent, const char *config,
                       struct image *i, struct fault *f);

#endif
