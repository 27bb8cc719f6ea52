/* glob.h: globs as regular expressions of PCRE2, which is there anyway; unlike
 * fnmatch() it knows ** and {a,b}, and takes any bytes. */
#ifndef CONTREE_BASE_GLOB_H
#define CONTREE_BASE_GLOB_H

#include "base/buffer.h"
#include <stdbool.h>

/* Adds a regular expression that matches what the glob matches as a whole. *
 * and ? do not match "/", ** does; [a-z], {a,b} and \ as usual. False for a
 * malformed glob, or when the buffer is full. */
bool glob_to_regex(const char *glob, struct buffer *out);

#endif
