/* regular.h: reads local files whole. Only regular files are opened, and
 * opening never waits: a FIFO, a device or a directory is refused. */
#ifndef CONTREE_REGULAR_H
#define CONTREE_REGULAR_H

#include <lua.h>

#pragma GCC visibility push(hidden)

/* Opens the regular file at `path` for reading. With a `root`, the path is
 * relative to that directory, and neither ".." nor a link leads out of it.
 * Returns the descriptor, or -1 with errno set: EXDEV when the path leads out,
 * EINVAL when it is not a regular file. */
int regular_open(const char *path, const char *root);

/* The meaning of an errno of regular_open(), in words. */
const char *regular_problem(int error);

/* core.read_file(path, most[, root]) -> bytes | nil, message, missing: whether
 * there is no such file */
int regular_lua_read(lua_State *L);

/* core.open_file(path[, root]) -> file | nil, message
 *
 * A regular file that stays open:
 *
 *   describe()   {fd = the descriptor, size =, inode = as that of core.lstat()}
 *   close()      may be repeated; a file that is collected is closed, too */
int regular_lua_open(lua_State *L);
void regular_register(lua_State *L);

#pragma GCC visibility pop

#endif
