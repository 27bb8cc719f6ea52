/* codec.c: base64 restores any bytes; text that it accepts is, but for
 * padding bits, what it would write; no bytes break the text checks. */
#include "codec.h"
#include "json_write.h"

#include <lauxlib.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Replaces the string on top of the stack by function(string). */
static void apply(lua_State *L, lua_CFunction function) {
    lua_pushcfunction(L, function);
    lua_insert(L, -2);
    lua_call(L, 1, 1);
}

static void check_round_trip(lua_State *L) {
    lua_pushvalue(L, 1);
    apply(L, codec_base64_encode);
    apply(L, codec_base64_decode);
    if (!lua_rawequal(L, 1, -1))
        abort();
}

static void check_decoding(lua_State *L) {
    size_t before, after;
    lua_pushvalue(L, 1);
    apply(L, codec_base64_decode);
    if (lua_isnil(L, -1))
        return;
    apply(L, codec_base64_encode);
    const char *again = lua_tolstring(L, -1, &after);
    const char *text = lua_tolstring(L, 1, &before);
    if (before != after || (before > 4 && memcmp(again, text, before - 4) != 0))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static lua_State *L; /* making one for each input is slow */
    if (!L)
        L = luaL_newstate();
    if (!L)
        return 0;
    lua_pushlstring(L, (const char *)data, size);
    check_round_trip(L);
    check_decoding(L);
    lua_pushvalue(L, 1);
    apply(L, codec_is_utf8);
    lua_pushvalue(L, 1);
    apply(L, codec_is_ascii);
    lua_pushvalue(L, 1);
    apply(L, json_write_lua);
    lua_settop(L, 0);
    return 0;
}
