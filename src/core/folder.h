/* folder.h: changes files below a folder, and never one outside of it: see
 * beneath.h for how paths are resolved.
 *
 * core.folder(path) -> folder | nil, message
 *
 *   lock()              whether this process alone holds the folder's lock now
 *   look(path)          {type = "file"|"directory"|"link"|"other", size =, mode
 *                       =, uid =, gid =, inode =, stamp = changes when the file
 *                       does, target = of a link}; nil: nothing is there; nil,
 *                       message: it cannot be looked at
 *   hash(path)          a hashing of a regular file (hashing.h) | nil, message
 *   idle(path)          false: some program has the file open for writing
 *   copy(from, path, {mode =, uid =, gid =})
 *                       a copying of the file `from` | nil, message.
 *                       copying:step(seconds) returns false until it returns
 *                       true: the new file is on the disk; or nil, message
 *   link(path, target)  makes a symbolic link
 *   mkdir(path, mode)   makes a directory
 *   swap(path, name)    exchanges a file and one beside it; false: the file
 *                       system cannot do that
 *   move(path, name)    renames a file to a name beside it; false: there is
 *                       one of that name, which stays
 *   replace(path, name) renames a file to a name beside it
 *   remove(path)        removes a file or an empty directory
 *   sync(path)          the names beside it are on the disk
 *   write(path, bytes, durable)
 *                       writes a small file, whole or not at all
 *   append(path, bytes) adds to a file, on the disk
 *   close()
 *
 * Where nothing else is said they return true, or nil, message, reason: a short
 * name of the error ("exists", "missing", "link"), else nil. */
#ifndef CONTREE_FOLDER_H
#define CONTREE_FOLDER_H

#include <lua.h>

#pragma GCC visibility push(hidden)

int folder_lua_new(lua_State *L);
void folder_register(lua_State *L);

#pragma GCC visibility pop

#endif
