/* json_write.h: Lua values to JSON.
 *
 * Integers are exact. A table with elements, or with the metatable of lists, is
 * a list; any other is an object. A light userdata NULL is null. A string must
 * be UTF-8. */
#ifndef CONTREE_JSON_WRITE_H
#define CONTREE_JSON_WRITE_H

#include <lua.h>

#pragma GCC visibility push(hidden)

/* core.json_encode(value, metatable of lists) -> text
 * | nil, "the path of a member and what is wrong with it" */
int json_write_lua(lua_State *L);

#pragma GCC visibility pop

#endif
