/* lines.h: what differs between two texts, line by line. */
#ifndef CONTREE_LINES_H
#define CONTREE_LINES_H

#include <lua.h>

#pragma GCC visibility push(hidden)

/* core.diff_lines(old, new, context) -> hunks | nil
 * The differences as a unified diff shows them, with up to `context` lines
 * around each: a list of { old_start, old_count, new_start, new_count, text },
 * where text is the hunk's lines, each behind " ", "-" or "+". A text without
 * a newline at its end is told from one with it. Empty: there is no difference.
 *
 * Shortest edit scripts by Myers' algorithm in linear space; where the texts
 * have little in common they may be longer than need be. The work is bounded,
 * whatever the texts are. nil: one of them has more than 256 MiB. */
int lines_lua_diff(lua_State *L);

#pragma GCC visibility pop

#endif
