/* edits.h: which lines of two texts differ. Plain C without Lua: the module
 * shows differences with it (lines.h), the engine merges texts. */
#ifndef CONTREE_EDITS_H
#define CONTREE_EDITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

enum { EDITS_SIZE_MAX = INT32_MAX / 8 };

/* One of the two texts. The caller sets `data`, never NULL, and `size`. */
struct edits_text {
    const char *data;
    size_t size;
    uint32_t count;  /* of lines; the last may lack a newline */
    uint32_t *start; /* where each line begins, and the end */
    bool *changed;   /* of each line: the other text lacks it there */
    uint32_t *class; /* of each line; equal lines are of one class */
    /* For the search: the lines that may be common, and their classes. */
    uint32_t *kept, *compact, kept_count;
};

/* Counts the lines, and returns the bytes of memory that edits_find() needs; 0
 * when a text has more than EDITS_SIZE_MAX bytes. */
size_t edits_room(struct edits_text *old, struct edits_text *new);

/* Finds a shortest edit script by Myers' algorithm in linear space; where the
 * texts have little in common the script may be longer. The work is bounded for
 * all texts. `room`, aligned as malloc() does it, must last as long as the
 * texts are used. */
void edits_find(struct edits_text *old, struct edits_text *new, void *room);

/* Moves each change as far down as equal lines allow, or to a change of the
 * other text, as git does: so the same change of two texts is at one place. */
void edits_settle(struct edits_text *old, struct edits_text *new);

/* The lines of either text from one place to another. */
struct edits_hunk {
    uint32_t old, old_end, new, new_end;
};
/* Moves on to the next change; the first call, with {0}, to the first one.
 * False: no change is left. */
bool edits_next(const struct edits_text *old, const struct edits_text *new,
                struct edits_hunk *at);

#pragma GCC visibility pop

#endif
