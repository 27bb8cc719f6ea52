/* nearest.h: which known name a mistyped one may have meant. */
#ifndef CONTREE_COMMAND_NEAREST_H
#define CONTREE_COMMAND_NEAREST_H

#include <stddef.h>

struct nearest {
    const char *given;
    const char *name; /* the nearest so far; NULL: none is near */
    size_t edits;     /* how far it is, or one more than may be */
};

/* Starts a search. A name is near if it is at most two edits away, and one for
 * every three letters of `given`; one edit is always allowed. An edit adds,
 * drops or replaces a letter, or swaps two neighbours. */
struct nearest nearest_to(const char *given);
/* Considers a name. The first of several that are equally near stays. */
void nearest_try(struct nearest *n, const char *name);

#endif
