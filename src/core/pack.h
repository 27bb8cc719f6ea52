/* pack.h: a directory of the host as a tar, in pieces.
 *
 * core.pack{ path =, ignores = nil, mode =, uid =, gid = } -> pack
 *                                                      | nil, message
 *
 * Call pack:step(seconds) until it returns nil. It returns bytes, maybe none,
 * after so many seconds or when there are enough; nil at the end; or nil,
 * message.
 *
 * The archive is a layer for POST /images/{uuid}/layers: regular files,
 * symbolic links as they are, and of directories only those that are empty, so
 * that an image's directories keep their modes. No link is followed. A file's
 * mode is 0755 or 0644, by its executable bit, unless `mode` says one for all
 * files. ignores(path, is_directory) is called for each entry with its path
 * below the directory: 0 takes it, 1 leaves it out but not what is below, 2
 * leaves out both. Files of more names than one are one file there, too.
 * Sockets and the like, and what cannot be read, end it with a message. */
#ifndef CONTREE_PACK_H
#define CONTREE_PACK_H

#include <lua.h>

#pragma GCC visibility push(hidden)

int pack_lua_new(lua_State *L);
void pack_register(lua_State *L);

#pragma GCC visibility pop

#endif
