/* same.h: what the fuzzers of readers compare. */
#ifndef CONTREE_FUZZ_SAME_H
#define CONTREE_FUZZ_SAME_H

#include <lauxlib.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

static inline size_t piece_of(const uint8_t *data) {
    return data[0] % 16 + 1u;
}

/* Aborts unless the lists at 1 and 2 of the stack have the same items. */
static inline void check_same(lua_State *L) {
    if (lua_rawlen(L, 1) != lua_rawlen(L, 2))
        abort();
    for (lua_Integer i = 1; i <= (lua_Integer)lua_rawlen(L, 1); i++) {
        lua_rawgeti(L, 1, i);
        lua_rawgeti(L, 2, i);
        if (!lua_rawequal(L, -1, -2))
            abort();
        lua_pop(L, 2);
    }
}

/* Has a reader read the input but its first byte, which says how large pieces
 * are: what it pushes, a list, must not depend on the pieces. The state is then
 * empty. false: the input is empty. */
typedef void reading(lua_State *L, const char *data, size_t size, size_t piece);
static inline bool check_pieces(lua_State **L, const uint8_t *data, size_t size,
                                reading *push_reading) {
    const char *text = (const char *)data;
    if (!*L) /* making one for each input is slow */
        *L = luaL_newstate();
    if (!*L || size < 1)
        return false;
    push_reading(*L, text + 1, size - 1, size);
    push_reading(*L, text + 1, size - 1, piece_of(data));
    check_same(*L);
    lua_settop(*L, 0);
    return true;
}

#endif
