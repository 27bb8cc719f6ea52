/* nearest.h: the known name that is nearest to a mistyped one. */
#ifndef CONTREE_BASE_NEAREST_H
#define CONTREE_BASE_NEAREST_H

#include <stddef.h>

struct nearest {
    const char *given;
    const char *name; /* the nearest so far; NULL: no name is near */
    size_t edits;     /* its distance; without a name, one above the limit */
};

/* Start a search. One edit is allowed for every three letters of `given`: at
 * least one, at most two. An edit adds, drops or replaces a letter, or swaps
 * two neighbours. */
struct nearest nearest_to(const char *given);
/* Consider a name. Of names that are equally near the first stays. */
void nearest_try(struct nearest *n, const char *name);
/* The search among all of a list. */
struct nearest nearest_of(const char *given, const char *const *names,
                          size_t count);

#endif
