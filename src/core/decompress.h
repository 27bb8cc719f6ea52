/* decompress.h: reads files that gzip, bzip2, xz or zstd compressed, as a
 * stream. libarchive does it. It is opened when it is first needed, so only
 * programs that use this need it. */
#ifndef CONTREE_DECOMPRESS_H
#define CONTREE_DECOMPRESS_H

#include <lua.h>

#pragma GCC visibility push(hidden)

/* core.decompress(path[, root]) -> reader | nil, message. Paths are those of
 * regular_open().
 *   reader:read(most)  some bytes; nil at the end; nil, message
 *   reader:close()     also when it is collected */
int decompress_lua_open(lua_State *L);

#pragma GCC visibility pop

#endif
