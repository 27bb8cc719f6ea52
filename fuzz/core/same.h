/* same.h: what the fuzzers of readers compare. */
#ifndef CONTREE_FUZZ_SAME_H
#define CONTREE_FUZZ_SAME_H

#include <lauxlib.h>
#include <stdlib.h>

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

#endif
