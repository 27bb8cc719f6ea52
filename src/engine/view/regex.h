/* regex.h: regular expressions as clients write them (http-api.md §4.22: those
 * of Rust) for PCRE2, which knows most of that and more besides. */
#ifndef CONTREE_VIEW_REGEX_H
#define CONTREE_VIEW_REGEX_H

#include "base/buffer.h"
#include "base/fault.h"

/* Appends `pattern` as PCRE2 wants it: what PCRE2 would read as something else
 * is spelled its way, or refused with 400. What only PCRE2 knows (lookaround,
 * backreferences) stays. The characters that stand for themselves are appended
 * to `literals`, in no order that means anything. */
int regex_translate(const char *pattern, struct buffer *out,
                    struct buffer *literals, struct fault *f);

#endif
