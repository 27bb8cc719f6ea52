/* decompress.h: what gzip, bzip2, xz and zstd have compressed, read as a
 * stream. libarchive does it; it is opened when it is first needed, so that
 * nobody pays for it with a `require`, and nobody needs it who never uses it.
 */
#ifndef CONTREE_DECOMPRESS_H
#define CONTREE_DECOMPRESS_H

#include <lua.h>

#pragma GCC visibility push(hidden)

/* core.decompress(path[, root]): a reader; or nil and what is wrong. Paths are
 * those of regular_open.
 *   reader:read(most)  some bytes; nil at the end; nil and what is wrong
 *   reader:close()     or when it is collected */
int decompress_lua_open(lua_State *L);

#pragma GCC visibility pop

#endif
