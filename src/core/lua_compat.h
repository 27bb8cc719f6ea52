/* lua_compat.h: the few differences between Lua 5.1 (LuaJIT) and 5.4. */
#ifndef CONTREE_LUA_COMPAT_H
#define CONTREE_LUA_COMPAT_H

#include <lauxlib.h>
#include <lua.h>

/* A pcall of PUC-Rio's 5.1 cannot be left by a yield, as our Lua files do. */
#if LUA_VERSION_NUM < 503 && !defined(LUA_LJDIR)
#error                                                                         \
    "contree needs Lua 5.4 or LuaJIT, and these are headers of another Lua. For 5.4: \
luarocks --lua-version 5.4 make. For LuaJIT: \
luarocks --lua-version 5.1 make LUA_INCDIR=/usr/include/luajit-2.1"
#endif

/* A full userdata with room for one table: compat_newuserdata() makes it,
 * compat_settable() pops a table and attaches it, and compat_gettable() pushes
 * that table. When none is attached yet it pushes nil; in LuaJIT, some other
 * table. */
#if LUA_VERSION_NUM == 501
#define compat_newuserdata(L, size) lua_newuserdata(L, size)
#define compat_settable(L, index) lua_setfenv(L, index)
#define compat_gettable(L, index) lua_getfenv(L, index)
#define compat_checkversion(L) ((void)(L))
#define lua_rawlen lua_objlen
#elif LUA_VERSION_NUM == 503
#define compat_newuserdata(L, size) lua_newuserdata(L, size)
#define compat_settable(L, index) lua_setuservalue(L, index)
#define compat_gettable(L, index) lua_getuservalue(L, index)
#define compat_checkversion(L) luaL_checkversion(L)
#else
#define compat_newuserdata(L, size) lua_newuserdatauv(L, size, 1)
#define compat_settable(L, index) lua_setiuservalue(L, index, 1)
#define compat_gettable(L, index) lua_getiuservalue(L, index, 1)
#define compat_checkversion(L) luaL_checkversion(L)
#endif

#if LUA_VERSION_NUM == 501
static inline void lua_rawsetp(lua_State *L, int index, const void *key) {
    if (index < 0)
        index = lua_gettop(L) + index + 1;
    lua_pushlightuserdata(L, (void *)(size_t)key);
    lua_insert(L, -2);
    lua_rawset(L, index);
}

static inline void lua_rawgetp(lua_State *L, int index, const void *key) {
    if (index < 0)
        index = lua_gettop(L) + index + 1;
    lua_pushlightuserdata(L, (void *)(size_t)key);
    lua_rawget(L, index);
}
#endif

/* For functions whose result is nil. */
static inline int compat_nil(lua_State *L) {
    lua_pushnil(L);
    return 1;
}

/* Registers a userdata type: its metatable `name` with `methods` behind
 * __index and `gc`; scripts cannot reach the metatable. */
static inline void compat_newtype(lua_State *L, const char *name,
                                  const luaL_Reg *methods, lua_CFunction gc) {
    luaL_newmetatable(L, name);
    lua_newtable(L);
    luaL_setfuncs(L, methods, 0);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, gc);
    lua_setfield(L, -2, "__gc");
    lua_pushstring(L, name);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}

#endif
