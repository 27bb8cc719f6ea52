/* patterns.h: the patterns of a search, and where they match in a line. */
#ifndef CONTREE_VIEW_PATTERNS_H
#define CONTREE_VIEW_PATTERNS_H

#include "base/deadline.h"
#include "base/fault.h"
#include <stdbool.h>
#include <stddef.h>

/* GREP_SMART: letter case matters when a pattern has a capital letter. */
enum grep_case { GREP_SENSITIVE, GREP_INSENSITIVE, GREP_SMART };

struct grep_submatch {
    size_t start, end; /* bytes in the line */
};

struct patterns;
/* NULL with 400 for a bad pattern, and for an empty list. */
struct patterns *patterns_make(const char *const *patterns, size_t count,
                               enum grep_case letter_case, struct fault *f);
void patterns_free(struct patterns *p);

/* Find the matches in a line, from left to right, none within another. Returns
 * how many; *list is valid until the next call. *complete becomes false when a
 * pattern costs too much. */
size_t patterns_match(struct patterns *p, const char *line, size_t length,
                      const struct deadline *deadline,
                      const struct grep_submatch **list, bool *complete);

#endif
