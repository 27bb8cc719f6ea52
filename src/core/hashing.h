/* hashing.h: SHA-256 for Lua, of a string or a file. */
#ifndef CONTREE_HASHING_H
#define CONTREE_HASHING_H

#include <lua.h>

#pragma GCC visibility push(hidden)

/* core.sha256(string) -> hex */
int hashing_lua_string(lua_State *L);
/* core.hash(string) -> hashing
 * core.hash_file(path[, root]) -> hashing | nil, message
 *
 * Call hashing:step(seconds) until it returns something other than false:
 * hex, size | nil, message. The file must be a regular file; `path` and `root`
 * are those of regular_open(). */
int hashing_lua_new(lua_State *L);
int hashing_lua_open(lua_State *L);
/* Pushes a hashing of an open file, and takes over the descriptor. */
int hashing_push(lua_State *L, int fd);
void hashing_register(lua_State *L);

#pragma GCC visibility pop

#endif
