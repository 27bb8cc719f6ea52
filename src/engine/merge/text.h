/* text.h: merges what two people did to a text, line by line (diff3). */
#ifndef CONTREE_MERGE_TEXT_H
#define CONTREE_MERGE_TEXT_H

#include "base/buffer.h"
#include "base/fault.h"
#include <stdbool.h>
#include <stddef.h>

/* Longer texts are not merged, nor those with so many lines that comparing two
 * takes more memory than MERGE_ROOM_MAX. */
enum { MERGE_TEXT_MAX = 16 << 20, MERGE_ROOM_MAX = 128 << 20 };

struct merge_text {
    const char *data; /* never NULL */
    size_t size;
};

/* Whether it is text as git sees it: no NUL in its first 8,000 bytes. */
bool merge_is_text(struct merge_text t);

/* Append `ours` with the changes that `theirs` made to `base`. 1: done; 0:
 * changes of both overlap or touch, and differ, or there are too many lines, so
 * nothing is sure about `out`; -1: fault. What merges, and how, is as in git
 * merge-file. */
int merge_texts(struct merge_text base, struct merge_text ours,
                struct merge_text theirs, struct buffer *out, struct fault *f);

#endif
