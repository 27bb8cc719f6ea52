/* regex.h: regular expressions as clients write them, translated for PCRE2.
 * Clients write those of Rust (http-api.md §4.22). */
#ifndef CONTREE_VIEW_REGEX_H
#define CONTREE_VIEW_REGEX_H

#include "base/buffer.h"
#include "base/fault.h"

/* Append `pattern` in PCRE2's spelling to `out`. A construct that PCRE2 reads
 * differently is written anew, or refused with 400 when PCRE2 has nothing like
 * it. What only PCRE2 knows (lookaround, backreferences) stays. The characters
 * that stand for themselves are appended to `literals`, in any order. */
int regex_translate(const char *pattern, struct buffer *out,
                    struct buffer *literals, struct fault *f);

#endif
