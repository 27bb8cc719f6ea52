/* due.h: which layers of a chain are squashed.
 *
 * Layers are squashed like the digits of a number carry: SQUASH_AT of a level
 * become one of the next. So a chain of N layers has about log N of them, and
 * no byte is copied more than a few times. Large layers are left alone until
 * there are many. */
#ifndef CONTREE_LAYER_DUE_H
#define CONTREE_LAYER_DUE_H

#include "store/store.h"
#include <stddef.h>

enum {
    /* This many layers of a level become one of the next. */
    SQUASH_AT = 16,
    /* From this length of a chain, small layers between large ones are
     * squashed. */
    SQUASH_BETWEEN = 128,
    /* From this length, large layers are. */
    SQUASH_LARGE = 256
};

/* Which layers of a chain are due: `count` from `first` on; 0: none. */
struct squash_range {
    size_t first, count;
};
struct squash_range squash_due(const struct chain_layer *chain, size_t count);
/* All but the lowest, which mostly is the base of an image: for a chain that is
 * too long to be mounted. */
struct squash_range squash_most(const struct chain_layer *chain, size_t count);

#endif
