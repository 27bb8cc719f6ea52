/* squash.h: makes one layer of many, so that chains stay short.
 *
 * A squashed layer shows what some adjacent layers of a chain show together,
 * whiteouts and opaque directories for what is below them included. In chains
 * it stands instead of them (store_layer_squash()); they themselves stay as
 * long as an image or a run needs them alone.
 *
 * Layers are squashed like the digits of a number carry: SQUASH_AT of a level
 * become one of the next. So a chain of N layers has about log N of them, and
 * no byte is copied more than a few times. Large layers are left alone until
 * there are many. */
#ifndef CONTREE_LAYER_SQUASH_H
#define CONTREE_LAYER_SQUASH_H

#include "base/fault.h"
#include "layer/layers.h"
#include <stdatomic.h>

enum {
    /* So many layers of a level become one of the next. */
    SQUASH_AT = 16,
    /* In a chain of so many, small layers between large ones are squashed. */
    SQUASH_BETWEEN = 128,
    /* In a chain of so many, large layers are. */
    SQUASH_LARGE = 256
};

/* Which layers of a chain are due: `count` from `first` on; 0: none. */
struct squash_range {
    size_t first, count;
};
struct squash_range squash_due(const struct chain_layer *chain, size_t count);
/* All but the lowest, which is an image's base mostly; for who cannot wait. */
struct squash_range squash_most(const struct chain_layer *chain, size_t count);

/* Squashes them, durably. Nobody may remove a layer of the chain meanwhile. 507
 * when they do not fit on the disk, 422 for a directory of more than a million
 * entries, 503 when *cancelled. Worker. */
int squash_layers(struct layers *l, const struct chain_layer *chain,
                  size_t count, struct squash_range range,
                  const atomic_bool *cancelled, struct fault *f);

#endif
