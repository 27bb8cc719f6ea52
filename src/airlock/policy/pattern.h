/* pattern.h: paths of requests, and the globs of rules that match them. */
#ifndef CONTREE_POLICY_PATTERN_H
#define CONTREE_POLICY_PATTERN_H

#include "base/fault.h"
#include <stddef.h>

struct path_pattern;

/* A glob: * and ? do not match "/", ** does; [a-z], {a,b} and \ as usual. NULL
 * with 422 for a malformed one. */
struct path_pattern *pattern_make(const char *glob, struct fault *f);
void pattern_free(struct path_pattern *p);

enum path_match {
    PATH_DIFFERS,
    PATH_MATCHES,
    PATH_UNKNOWN /* matching was given up: neither allow nor ignore it */
};
enum path_match pattern_match(const struct path_pattern *p, const char *path);

/* Makes a path as servers read it, without its query: undoes escapes of letters
 * that need none. The caller frees it. NULL for a path that servers read in
 * several ways: dot segments, empty segments, an escaped "/", "\\" or NUL; and
 * for want of memory. */
char *path_as_read(const char *path, size_t length);

#endif
