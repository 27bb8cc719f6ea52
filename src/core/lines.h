/* lines.h: the difference between two texts, line by line. */
#ifndef CONTREE_LINES_H
#define CONTREE_LINES_H

#include <lua.h>

#pragma GCC visibility push(hidden)

/* core.diff_lines(old, new, context) -> hunks | nil
 * The differences as a unified diff shows them, with up to `context` lines
 * around each: a list of { old_start, old_count, new_start, new_count, text },
 * where text is the hunk's lines, each after " ", "-" or "+". A missing newline
 * at the end of a text is a difference. Empty: there is no difference. nil: a
 * text has more than 256 MiB.
 *
 * Finds a shortest edit script by Myers' algorithm in linear space; where the
 * texts have little in common the script may be longer. The work is bounded for
 * all texts. */
int lines_lua_diff(lua_State *L);

#pragma GCC visibility pop

#endif
