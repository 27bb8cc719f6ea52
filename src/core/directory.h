/* directory.h: local files and directories, as far as Lua has no functions for
 * them. */
#ifndef CONTREE_DIRECTORY_H
#define CONTREE_DIRECTORY_H

#include <lua.h>

#pragma GCC visibility push(hidden)

/* core.stat(path) -> {type = "file"|"directory"|"other", size =, mode =, uid =,
 * link = whether the path itself is a symbolic link} | nil, message.
 * Links are followed; mode is the permission bits. */
int directory_lua_stat(lua_State *L);

/* core.lstat(path) -> {type = "file"|"directory"|"link"|"fifo"|"other", size =,
 * mode =, nlink =, inode = the same for all names of a file, target = of a
 * link} | nil, message, missing: whether nothing is there. Links are not
 * followed. */
int directory_lua_lstat(lua_State *L);

/* core.real_path(path) -> the absolute path without links | nil, message */
int directory_lua_real_path(lua_State *L);

/* core.list(path) -> {name, ...} without "." and "..", unsorted | nil,
 * message, missing: whether nothing is there */
int directory_lua_list(lua_State *L);

/* core.mkdir(path, mode) -> true (also when it exists) | nil, message */
int directory_lua_mkdir(lua_State *L);

/* core.chmod(path, mode) -> true | nil, message. Refuses a link, which another
 * user may have made. */
int directory_lua_chmod(lua_State *L);

#pragma GCC visibility pop

#endif
