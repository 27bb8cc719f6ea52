/* conflict.h: what both sides changed, each in its own way. */
#ifndef CONTREE_MERGE_CONFLICT_H
#define CONTREE_MERGE_CONFLICT_H

#include "base/fault.h"
#include "view/same.h"
#include <stdint.h>

/* More are counted, but not listed. */
enum { CONFLICTS_LISTED = 1000 };

struct merge_conflict {
    struct merge_conflict *next;
    /* A constant: "content": lines of a text; "binary": a file that is no text,
     * or a long one; "target": of a link; "type": a file against a directory
     * or a link; "removed": one side removed what the other changed; "mode",
     * "owner", "attributes". */
    const char *kind;
    struct placed base, ours, theirs; /* st_mode 0: nothing is there */
    char path[];                      /* "etc/passwd"; "" the root */
};

struct merge_conflicts {
    struct merge_conflict *first, **last;
    int64_t count;
};

void conflicts_init(struct merge_conflicts *c);
void conflicts_free(struct merge_conflicts *c);
/* The three may be NULL. */
int conflicts_add(struct merge_conflicts *c, const char *path, const char *kind,
                  const struct placed *base, const struct placed *ours,
                  const struct placed *theirs, struct fault *f);

#endif
