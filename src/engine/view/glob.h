/* glob.h: which files a search looks at. */
#ifndef CONTREE_VIEW_GLOB_H
#define CONTREE_VIEW_GLOB_H

#include "base/fault.h"
#include <stdbool.h>
#include <stddef.h>

/* Include ("*.c") and exclude ("!*.bak") patterns; the last one that matches a
 * path decides. * and ? do not match "/", ** does; [a-z], {a,b} and \ as usual.
 * A pattern without "/" is for the last part of the path, one with it for the
 * whole path from the image's root; a "/" at the end is for directories only.
 */
struct globs;
/* NULL with 400 for a malformed pattern, and for one longer than GLOB_MAX
 * bytes. None at all is fine. */
enum { GLOB_MAX = 1024 };
struct globs *globs_make(const char *const *patterns, size_t count,
                         struct fault *f);
void globs_free(struct globs *g);

/* Whether a file is to be searched, or a directory gone into: an exclusion
 * stops both, but only files need an inclusion, if there is one at all. `path`
 * relative to the root. */
bool globs_allow(struct globs *g, const char *path, bool directory);
/* Whether a pattern was too intricate for a path: it counted as no match. */
bool globs_failed(const struct globs *g);

#endif
