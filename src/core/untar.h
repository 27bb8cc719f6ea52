/* untar.h: unpacks a tar, which arrives in pieces, into a directory of the
 * host.
 *
 * core.untar(to, below) -> untar | nil, message
 *
 *   feed(bytes)      true | nil, message
 *   close()          gives up; may be repeated
 *   finish(seconds)  false: call it again; true: it is at `to` | nil, message
 *
 * `below` is the directory of the archive that becomes `to`; what the archive
 * has outside of it is refused. Where `to` is, there may be nothing or an empty
 * directory. Until finish() has returned true, all is in a directory beside it,
 * which goes when the object is collected. Formats: POSIX with pax headers,
 * GNU's long names, sparse files as pax 1.0 has them. Files, directories, links
 * and hard links are made with modes (without set-id bits, less the umask) and
 * times; they belong to the user. Other types are left out. Names are hostile:
 * see tree.h. */
#ifndef CONTREE_UNTAR_H
#define CONTREE_UNTAR_H

#include <lua.h>

#pragma GCC visibility push(hidden)

int untar_lua_new(lua_State *L);
void untar_register(lua_State *L);

#pragma GCC visibility pop

#endif
