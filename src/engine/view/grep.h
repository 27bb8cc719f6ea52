/* grep.h: searching an image; see view.h. */
#ifndef CONTREE_VIEW_GREP_H
#define CONTREE_VIEW_GREP_H

#include "base/deadline.h"
#include "base/fault.h"
#include "view/patterns.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct view;

struct grep_options {
    const char *const *patterns; /* at least one */
    size_t pattern_count;
    const char *const *paths; /* without any: "/" */
    size_t path_count;
    const char *const *globs; /* "*.c", "!*.bak", "src/" + "**" */
    size_t glob_count;
    int64_t max_count; /* matching lines a file; 0: any */
    int64_t max_total; /* of all files; 0: 1000 */
    int64_t before, after;
    enum grep_case letter_case;
    struct deadline deadline;
};

/* A line that matched, or, without submatches, a line of its context. */
struct grep_line {
    const char *path; /* "etc/passwd" */
    const char *text; /* with its line end; bytes; not NUL-terminated */
    size_t length;
    int64_t number; /* from 1 */
    int64_t offset; /* of the line in the file */
    const struct grep_submatch *submatches;
    size_t submatch_count;
};

/* Search (http-api.md §4.22) all files but binary ones, which have a NUL; links
 * are not followed. `*truncated`: the search is not complete, because of
 * max_total, the deadline, a line of more than 32 MiB or a pattern that costs
 * too much. The visitor returns false to stop. 400 for a bad pattern or glob,
 * 404 for a path that does not exist. */
int inspect_grep(struct view *v, const struct grep_options *o,
                 bool (*visit)(void *arg, const struct grep_line *l), void *arg,
                 bool *truncated, struct fault *f);

#endif
