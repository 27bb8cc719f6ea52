/* due.c: see due.h. */
#include "layer/due.h"

/* Counts the layers from the top down to the first above this level. `exactly`:
 * how many of them are of this level. */
static size_t count_top(const struct chain_layer *chain, size_t count,
                        int level, size_t *exactly) {
    size_t n = 0;
    *exactly = 0;
    while (n < count && chain[n].level <= level)
        *exactly += chain[n++].level == level;
    return n;
}

static struct squash_range longest_small(const struct chain_layer *chain,
                                         size_t count) {
    struct squash_range best = {0, 0};
    for (size_t i = 0, first = 0; i <= count; i++) {
        if (i < count && chain[i].level < LEVEL_LARGE)
            continue;
        if (i - first > best.count)
            best = (struct squash_range){first, i - first};
        first = i + 1;
    }
    return best;
}

struct squash_range squash_most(const struct chain_layer *chain, size_t count) {
    (void)chain;
    return (struct squash_range){0, count > 1 ? count - 1 : 0};
}

struct squash_range squash_due(const struct chain_layer *chain, size_t count) {
    struct squash_range r = {0, 0};
    size_t exactly;
    for (int level = 0; level < LEVEL_LARGE; level++) {
        size_t n = count_top(chain, count, level, &exactly);
        if (exactly >= SQUASH_AT)
            r.count = n;
        if (n == count || chain[n].level >= LEVEL_LARGE)
            break;
    }
    if (r.count == 0 && count >= SQUASH_BETWEEN)
        r = longest_small(chain, count);
    if (r.count < SQUASH_AT / 2)
        r.count = 0;
    return r.count == 0 && count >= SQUASH_LARGE ? squash_most(chain, count)
                                                 : r;
}
