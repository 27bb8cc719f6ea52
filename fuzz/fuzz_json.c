/* fuzz_json.c: no text breaks the reader of JSON; what it reads is written as
 * a text that it reads again. */
#include "json.h"
#include "json_write.h"

#include <lauxlib.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Pushes the two results of function(the value on top of the stack). */
static void apply(lua_State *L, lua_CFunction function) {
    int value = lua_gettop(L);
    lua_pushcfunction(L, function);
    lua_pushvalue(L, value);
    lua_call(L, 1, 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static lua_State *L; /* making one for each input is slow */
    if (!L)
        L = luaL_newstate();
    if (!L)
        return 0;
    lua_pushlstring(L, (const char *)data, size);
    apply(L, json_lua_decode);
    lua_pop(L, 1);
    if (!lua_isnil(L, -1)) {
        apply(L, json_write_lua);
        lua_pop(L, 1);
    }
    /* Not written: texts that are not UTF-8, numbers without end, deep nests,
     * lists that begin with null. */
    if (lua_isstring(L, -1)) {
        apply(L, json_lua_decode);
        if (lua_isnil(L, -2))
            abort();
    }
    lua_settop(L, 0);
    return 0;
}
