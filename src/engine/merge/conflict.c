/* conflict.c: see conflict.h. */
#define _GNU_SOURCE
#include "merge/conflict.h"
#include <stdlib.h>
#include <string.h>

void conflicts_init(struct merge_conflicts *c) {
    *c = (struct merge_conflicts){.last = &c->first};
}

void conflicts_free(struct merge_conflicts *c) {
    for (struct merge_conflict *next; c->first; c->first = next) {
        next = c->first->next;
        free(c->first);
    }
    conflicts_init(c);
}

int conflicts_add(struct merge_conflicts *c, const char *path, const char *kind,
                  const struct placed *base, const struct placed *ours,
                  const struct placed *theirs, struct fault *f) {
    static const struct placed nothing;
    if (c->count++ >= CONFLICTS_LISTED)
        return 0;
    size_t size = strlen(path) + 1;
    struct merge_conflict *one = malloc(sizeof *one + size);
    if (!one)
        return fault_memory(f);
    *one = (struct merge_conflict){.kind = kind,
                                   .base = base ? *base : nothing,
                                   .ours = ours ? *ours : nothing,
                                   .theirs = theirs ? *theirs : nothing};
    memcpy(one->path, path, size);
    *c->last = one;
    c->last = &one->next;
    return 0;
}
