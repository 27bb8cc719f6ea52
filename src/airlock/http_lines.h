/* http_lines.h: the lines of a head, of a request or an answer. */
#ifndef CONTREE_AIRLOCK_HTTP_LINES_H
#define CONTREE_AIRLOCK_HTTP_LINES_H

#include "base/buffer.h"
#include <stdbool.h>
#include <stddef.h>

/* A span of the lines. */
struct span {
    size_t at, length;
};
/* The next line "NAME: VALUE" from *at on, which is moved behind it. Blanks
 * behind the value are left out. False at the end. */
bool http_next_line(const struct buffer *lines, size_t *at, struct span *name,
                    struct span *value);

/* Whether a text is this word, in any case. */
bool http_is(const char *text, size_t length, const char *word);
bool http_is_blank(char c);
/* Whether it may be the name of a header. http-parser takes a space in a name,
 * as it is built for Debian. */
bool http_is_token(const char *name, size_t length);

#endif
