/* squash.h: makes one layer of many, so that chains stay short.
 *
 * A squashed layer shows what some adjacent layers of a chain show together,
 * whiteouts and opaque directories for what is below them included. It replaces
 * them in chains (store_layer_squash()); they stay as long as an image or a run
 * needs them alone. */
#ifndef CONTREE_LAYER_SQUASH_H
#define CONTREE_LAYER_SQUASH_H

#include "base/fault.h"
#include "layer/due.h"
#include "store/store.h"
#include <stdatomic.h>

struct layers;

/* Squash the layers in `range`, durably. Nobody may remove a layer of the chain
 * meanwhile. 507 when they do not fit on the disk, 422 for a directory of more
 * than a million entries, 503 when *cancelled. Worker. */
int squash_layers(struct layers *l, const struct chain_layer *chain,
                  size_t count, struct squash_range range,
                  const atomic_bool *cancelled, struct fault *f);

/* Copy what a run has written so far into a new workspace, to be published
 * above `below`, the layers that its sandbox has mounted, the top first. Nobody
 * may write meanwhile. It costs no data where the file system can share it.
 * Faults as above. Worker. */
struct workspace;
int workspace_copy(struct layers *l, const struct workspace *from,
                   const int64_t *below, size_t count,
                   const atomic_bool *cancelled, struct workspace *out,
                   struct fault *f);

#endif
