#include "json_write.h"
#include "codec.h"
#include "lua_compat.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LISTS = 2, SPACE = 3 }; /* places on the stack of Lua */
enum { DEEPEST = 100 };

/* What is written is on the stack of C, or, when it gets longer, in a userdata
 * at SPACE. */
struct writer {
    lua_State *L;
    char *data;
    size_t length, capacity;
    int depth;
    char first[1024];
};

static bool value(struct writer *w);

/* Room for `size` bytes. */
static char *room(struct writer *w, size_t size) {
    if (size > w->capacity - w->length) {
        size_t capacity = 2 * w->capacity + size;
        char *data = lua_newuserdata(w->L, capacity);
        memcpy(data, w->data, w->length);
        lua_replace(w->L, SPACE);
        w->data = data;
        w->capacity = capacity;
    }
    return w->data + w->length;
}

static void put(struct writer *w, const char *text, size_t size) {
    memcpy(room(w, size), text, size);
    w->length += size;
}

static void put_char(struct writer *w, char c) {
    put(w, &c, 1);
}

/* Pushes the path of a member, which is empty here and grows on the way up, and
 * what is wrong with it. Returns false, so that callers can end with it. */
static bool wrong(struct writer *w, const char *problem) {
    lua_pushliteral(w->L, "");
    lua_pushstring(w->L, problem);
    return false;
}

/* Puts a name before the path. */
static bool wrong_within(struct writer *w, const char *name) {
    const char *path = lua_tostring(w->L, -2);
    lua_pushfstring(w->L, *path ? "%s.%s" : "%s", name, path);
    lua_replace(w->L, -3);
    return false;
}

static bool text(struct writer *w) {
    size_t size;
    const char *s = lua_tolstring(w->L, -1, &size);
    char *start = room(w, codec_json_room(s, size)), *end;
    *start = '"';
    end = codec_write_json(s, size, start + 1);
    if (!end)
        return wrong(w, "is not valid UTF-8");
    *end++ = '"';
    w->length += (size_t)(end - start);
    return true;
}

static bool number(struct writer *w) {
    char digits[32];
    double n = lua_tonumber(w->L, -1);
    int size;
#if LUA_VERSION_NUM >= 503
    if (lua_isinteger(w->L, -1)) {
        size = snprintf(digits, sizeof digits, LUA_INTEGER_FMT,
                        lua_tointeger(w->L, -1));
        put(w, digits, (size_t)size);
        return true;
    }
#endif
    if (!isfinite(n))
        return wrong(w, "is not a finite number");
    if (n == floor(n) && fabs(n) <= 9007199254740992.0) {
        size = snprintf(digits, sizeof digits, "%.0f", n);
    } else {
        size = snprintf(digits, sizeof digits, "%.15g", n);
        if (strtod(digits, NULL) != n)
            size = snprintf(digits, sizeof digits, "%.17g", n);
    }
    char *comma = memchr(digits, ',', (size_t)size); /* of the locale */
    if (comma)
        *comma = '.';
    put(w, digits, (size_t)size);
    return true;
}

/* The table on top of the stack. */
static bool list(struct writer *w) {
    size_t count = lua_rawlen(w->L, -1);
    char name[24];
    put_char(w, '[');
    for (size_t i = 1; i <= count; i++) {
        if (i > 1)
            put_char(w, ',');
        lua_rawgeti(w->L, -1, (int)i);
        if (!value(w)) {
            snprintf(name, sizeof name, "%zu", i);
            return wrong_within(w, name);
        }
        lua_pop(w->L, 1);
    }
    put_char(w, ']');
    return true;
}

static bool object(struct writer *w) {
    bool first = true;
    put_char(w, '{');
    lua_pushnil(w->L);
    while (lua_next(w->L, -2)) {
        int member = lua_gettop(w->L);
        if (lua_type(w->L, member - 1) != LUA_TSTRING)
            return wrong(w, "mixes list and map");
        if (!first)
            put_char(w, ',');
        first = false;
        lua_pushvalue(w->L, member - 1);
        bool ok = text(w);
        if (ok) {
            lua_pop(w->L, 1);
            put_char(w, ':');
            ok = value(w);
        }
        if (!ok)
            return wrong_within(w, lua_tostring(w->L, member - 1));
        lua_pop(w->L, 1);
    }
    put_char(w, '}');
    return true;
}

static bool is_list(struct writer *w) {
    if (lua_rawlen(w->L, -1) > 0)
        return true;
    if (!lua_getmetatable(w->L, -1))
        return false;
    bool is = lua_rawequal(w->L, -1, LISTS);
    lua_pop(w->L, 1);
    return is;
}

static bool table(struct writer *w) {
    if (w->depth > DEEPEST)
        return wrong(w, "is nested too deeply");
    luaL_checkstack(w->L, 8, "nested too deeply");
    w->depth++;
    bool ok = is_list(w) ? list(w) : object(w);
    w->depth--;
    return ok;
}

/* Writes the value on top of the stack. */
static bool value(struct writer *w) {
    lua_State *L = w->L;
    switch (lua_type(L, -1)) {
    case LUA_TSTRING:
        return text(w);
    case LUA_TNUMBER:
        return number(w);
    case LUA_TTABLE:
        return table(w);
    case LUA_TBOOLEAN:
        put(w, lua_toboolean(L, -1) ? "true" : "false",
            lua_toboolean(L, -1) ? 4 : 5);
        return true;
    case LUA_TLIGHTUSERDATA:
        if (!lua_touserdata(L, -1)) {
            put(w, "null", 4);
            return true;
        }
    }
    lua_pushfstring(L, "is a %s", luaL_typename(L, -1));
    return wrong(w, lua_tostring(L, -1));
}

int json_write_lua(lua_State *L) {
    struct writer w;
    w.L = L;
    w.data = w.first;
    w.length = w.depth = 0;
    w.capacity = sizeof w.first;
    lua_settop(L, LISTS);
    lua_pushnil(L); /* SPACE */
    lua_pushvalue(L, 1);
    if (value(&w)) {
        lua_pushlstring(L, w.data, w.length);
        return 1;
    }
    const char *path = lua_tostring(L, -2);
    lua_pushnil(L);
    lua_pushfstring(L, "%s %s", *path ? path : "the value",
                    lua_tostring(L, -2));
    return 2;
}
