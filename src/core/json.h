/* json.h: JSON to Lua values.
 *
 * A null is dropped: an absent member and one that is null look alike. In Lua
 * 5.4 whole numbers are integers. Of equal names the last wins. */
#ifndef CONTREE_JSON_H
#define CONTREE_JSON_H

#include <lua.h>

#pragma GCC visibility push(hidden)

/* How many lists and objects may be inside one another. */
enum { JSON_DEPTH = 128 };

/* core.json_decode(text) -> value (nil for null) | nil, what is wrong */
int json_lua_decode(lua_State *L);

#pragma GCC visibility pop

#endif
