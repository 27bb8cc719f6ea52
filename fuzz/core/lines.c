/* lines.c: a diff with all of its context contains both texts; one with
 * less context does no harm. The input is both texts with a zero between. */
#include "lines.h"

#include <lauxlib.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct text {
    const char *data;
    size_t left;
};

static void take(struct text *from, const char *line, size_t size) {
    if (from->left < size || memcmp(from->data, line, size) != 0)
        abort();
    from->data += size;
    from->left -= size;
}

/* Takes the lines of a hunk off the texts that they belong to. */
static void check_hunk(struct text hunk, struct text *old, struct text *new) {
    while (hunk.left > 0) {
        const char *line = hunk.data + 1;
        char sign = hunk.data[0];
        size_t size =
            (size_t)((char *)memchr(line, '\n', hunk.left - 1) + 1 - line);
        take(&hunk, hunk.data, size + 1);
        if (hunk.left > 0 && hunk.data[0] == '\\') {
            static const char remark[] = "\\ No newline at end of file\n";
            take(&hunk, remark, sizeof remark - 1);
            size--;
        }
        if (sign != '+')
            take(old, line, size);
        if (sign != '-')
            take(new, line, size);
    }
}

/* Pushes the hunks of the two texts. */
static void push_diff(lua_State *L, struct text old, struct text new,
                      int context) {
    lua_pushcfunction(L, lines_lua_diff);
    lua_pushlstring(L, old.data, old.left);
    lua_pushlstring(L, new.data, new.left);
    lua_pushinteger(L, context);
    lua_call(L, 3, 1);
}

static bool is_same(struct text a, struct text b) {
    return a.left == b.left && memcmp(a.data, b.data, a.left) == 0;
}

static void check_whole(lua_State *L, struct text old, struct text new) {
    struct text hunk;
    push_diff(L, old, new, 1 << 20);
    lua_rawgeti(L, -1, 1);
    if (lua_isnil(L, -1) != is_same(old, new) || lua_rawlen(L, -2) > 1)
        abort();
    if (lua_isnil(L, -1))
        return;
    lua_getfield(L, -1, "text");
    hunk.data = lua_tolstring(L, -1, &hunk.left);
    check_hunk(hunk, &old, &new);
    if (old.left > 0 || new.left > 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static lua_State *L; /* making one for each input is slow */
    const uint8_t *zero = size > 0 ? memchr(data, 0, size) : NULL;
    struct text old, new;
    if (!L)
        L = luaL_newstate();
    if (!L || !zero)
        return 0;
    old = (struct text){(const char *)data, (size_t)(zero - data)};
    new = (struct text){(const char *)zero + 1, size - old.left - 1};
    check_whole(L, old, new);
    push_diff(L, old, new, (int)(size % 4));
    lua_settop(L, 0);
    return 0;
}
