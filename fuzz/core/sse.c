/* sse.c: the events of a stream do not depend on how it is split, and no
 * bytes break the parser. */
#include "sse.h"
#include "same.h"

#include <lauxlib.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void add_field(lua_State *L, luaL_Buffer *all, int event,
                      const char *name) {
    lua_getfield(L, event, name);
    luaL_addstring(all, lua_isnil(L, -1) ? "-" : "+");
    if (lua_isnil(L, -1))
        lua_pop(L, 1);
    else
        luaL_addvalue(all);
}

/* Pushes the events of the stream in pieces of `piece` bytes. */
static void push_reading(lua_State *L, const char *data, size_t size,
                         size_t piece) {
    struct sse sse;
    luaL_Buffer all;
    sse_init(&sse);
    for (size_t at = 0; at < size; at += piece)
        sse_feed(&sse, data + at, size - at < piece ? size - at : piece);
    lua_newtable(L);
    for (int i = 1; sse.first; i++) {
        sse_push(L, &sse);
        int event = lua_gettop(L);
        luaL_buffinit(L, &all);
        add_field(L, &all, event, "id");
        add_field(L, &all, event, "event");
        add_field(L, &all, event, "data");
        luaL_pushresult(&all);
        lua_remove(L, event);
        lua_rawseti(L, -2, i);
    }
    sse_free(&sse);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static lua_State *L; /* made once */
    check_pieces(&L, data, size, push_reading);
    return 0;
}
