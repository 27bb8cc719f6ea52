/* glob.h: which files a search looks at. */
#ifndef CONTREE_VIEW_GLOB_H
#define CONTREE_VIEW_GLOB_H

#include "base/fault.h"
#include <stdbool.h>
#include <stddef.h>

/* Patterns that include ("*.c") and exclude ("!*.bak"); the last one that
 * matches a path decides. * and ? do not match "/", ** does; [a-z], {a,b} and
 * \ as usual. A pattern without "/" is matched with the last part of the path,
 * one with "/" with the whole path from the image's root. One that ends in "/"
 * matches directories only. */
struct globs;
/* NULL with 400 for a malformed pattern or one longer than GLOB_MAX bytes. An
 * empty list is allowed. */
enum { GLOB_MAX = 1024 };
struct globs *globs_make(const char *const *patterns, size_t count,
                         struct fault *f);
void globs_free(struct globs *g);

/* Whether to search a file or enter a directory. An exclusion stops both. Once
 * there is an including pattern, a file needs one that matches; a directory
 * does not. `path` is relative to the root. */
bool globs_allow(struct globs *g, const char *path, bool directory);
/* Whether matching a pattern was given up because it costs too much; it counted
 * as no match. */
bool globs_failed(const struct globs *g);

#endif
