#include "json.h"
#include "lua_compat.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Values wait on the stack of Lua, up to so many, until it is known for how
 * many a table must have room. */
enum { WAITING = 16 };

struct reader {
    lua_State *L;
    const char *begin, *at, *end;
    const char *problem; /* constant string, or NULL */
    int depth;
};

static bool value(struct reader *r);

/* Returns false, so that callers can end with it. */
static bool wrong(struct reader *r, const char *problem) {
    if (!r->problem)
        r->problem = problem;
    return false;
}

/* The next character that is no white space, or NUL at the end. */
static char peek(struct reader *r) {
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' ||
                              *r->at == '\t' || *r->at == '\r'))
        r->at++;
    return r->at < r->end ? *r->at : '\0';
}

static bool take(struct reader *r, char c) {
    if (peek(r) != c)
        return false;
    r->at++;
    return true;
}

/* Texts. */

static int digit_of(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Reads four hexadecimal digits; -1 when they are not there. */
static long four_digits(const char **at, const char *end) {
    long code = 0;
    if (end - *at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int digit = digit_of(*(*at)++);
        if (digit < 0)
            return -1;
        code = code * 16 + digit;
    }
    return code;
}

static char *put_utf8(char *out, long code) {
    if (code < 0x80) {
        *out++ = (char)code;
        return out;
    }
    if (code < 0x800) {
        *out++ = (char)(0xC0 | code >> 6);
    } else {
        if (code < 0x10000) {
            *out++ = (char)(0xE0 | code >> 12);
        } else {
            *out++ = (char)(0xF0 | code >> 18);
            *out++ = (char)(0x80 | (code >> 12 & 0x3F));
        }
        *out++ = (char)(0x80 | (code >> 6 & 0x3F));
    }
    *out++ = (char)(0x80 | (code & 0x3F));
    return out;
}

/* Reads what follows "\u", of a surrogate also its other half. NULL when it is
 * no character. */
static char *put_unicode(char *out, const char **at, const char *end) {
    long code = four_digits(at, end), low;
    if (code < 0 || (code >= 0xDC00 && code <= 0xDFFF))
        return NULL;
    if (code >= 0xD800 && code <= 0xDBFF) {
        if (end - *at < 2 || (*at)[0] != '\\' || (*at)[1] != 'u')
            return NULL;
        *at += 2;
        low = four_digits(at, end);
        if (low < 0xDC00 || low > 0xDFFF)
            return NULL;
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    return put_utf8(out, code);
}

/* Writes the text between `at` and `end` without its escapes, which makes it no
 * longer. The end of what it wrote, or NULL. */
static char *unescape(char *out, const char *at, const char *end) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    while (at < end) {
        const char *escape = memchr(at, '\\', (size_t)(end - at));
        size_t plain = (size_t)((escape ? escape : end) - at);
        memcpy(out, at, plain);
        out += plain;
        if (!escape)
            break;
        at = escape + 2; /* there is a character: the text ends with '"' */
        const char *known = memchr(from, escape[1], sizeof from - 1);
        if (known)
            *out++ = to[known - from];
        else if (escape[1] != 'u' || !(out = put_unicode(out, &at, end)))
            return NULL;
    }
    return out;
}

/* Pushes the text that begins after the quote. */
static bool text(struct reader *r) {
    const char *start = r->at;
    const char *end = memchr(start, '"', (size_t)(r->end - start));
    bool escaped = end && memchr(start, '\\', (size_t)(end - start));
    if (escaped)
        for (end = start; end < r->end && *end != '"';)
            end += *end == '\\' ? 2 : 1;
    if (!end || end >= r->end)
        return wrong(r, "a string has no end");
    r->at = end + 1;
    if (!escaped) {
        lua_pushlstring(r->L, start, (size_t)(end - start));
        return true;
    }
    char *copy = lua_newuserdata(r->L, (size_t)(end - start));
    char *copied = unescape(copy, start, end);
    if (!copied)
        return wrong(r, "a string has an unknown escape");
    lua_pushlstring(r->L, copy, (size_t)(copied - copy));
    lua_remove(r->L, -2);
    return true;
}

/* Numbers. */

static const char *skip_digits(const char *at, const char *end) {
    while (at < end && *at >= '0' && *at <= '9')
        at++;
    return at;
}

/* The end of the number at r->at, or NULL; *whole: it has digits only. */
static const char *number_end(const struct reader *r, bool *whole) {
    const char *at = r->at + (*r->at == '-'), *digits = at;
    at = skip_digits(at, r->end);
    if (at == digits || (*digits == '0' && at > digits + 1))
        return NULL;
    *whole = true;
    if (at < r->end && *at == '.') {
        *whole = false;
        digits = ++at;
        at = skip_digits(at, r->end);
        if (at == digits)
            return NULL;
    }
    if (at < r->end && (*at == 'e' || *at == 'E')) {
        *whole = false;
        at++;
        at += at < r->end && (*at == '+' || *at == '-');
        digits = at;
        at = skip_digits(at, r->end);
        if (at == digits)
            return NULL;
    }
    return at;
}

/* Replaces the text of a number on top of the stack, as Lua reads it. */
static void convert(lua_State *L) {
#if LUA_VERSION_NUM >= 503
    lua_Integer integer;
    lua_stringtonumber(L, lua_tostring(L, -1));
    if (!lua_isinteger(L, -1) &&
        lua_numbertointeger(lua_tonumber(L, -1), &integer) &&
        (lua_Number)integer == lua_tonumber(L, -1)) {
        lua_pushinteger(L, integer);
        lua_replace(L, -2);
    }
#else
    lua_pushnumber(L, lua_tonumber(L, -1));
#endif
    lua_replace(L, -2);
}

static bool number(struct reader *r) {
    const int most = 15; /* digits that are exact in every Lua */
    bool whole, negative = *r->at == '-';
    const char *start = r->at, *end = number_end(r, &whole);
    if (!end)
        return wrong(r, "a number is malformed");
    r->at = end;
    if (!whole || end - start > most) {
        lua_pushlstring(r->L, start, (size_t)(end - start));
        convert(r->L);
        return true;
    }
    lua_Integer sum = 0;
    for (const char *c = start + negative; c < end; c++)
        sum = sum * 10 + (*c - '0');
    lua_pushinteger(r->L, negative ? -sum : sum);
    return true;
}

static bool word(struct reader *r, const char *name) {
    size_t size = strlen(name);
    if ((size_t)(r->end - r->at) < size || memcmp(r->at, name, size) != 0)
        return wrong(r, "a value is none of JSON's");
    r->at += size;
    return true;
}

/* Lists and objects. */

/* Makes the table, with room for what waits on the stack above `base`, or for
 * more when the end has not come; and moves that into it. */
static void gather_list(lua_State *L, int base, int count, bool over) {
    lua_createtable(L, over ? count : 2 * count, 0);
    lua_insert(L, base);
    for (int i = count; i > 0; i--)
        lua_rawseti(L, base, i);
}

static bool list(struct reader *r) {
    int base = lua_gettop(r->L) + 1, count = 0;
    bool over = take(r, ']');
    while (!over) {
        if (!value(r))
            return false;
        count++;
        over = !take(r, ',');
        if (over && !take(r, ']'))
            return wrong(r, "a list lacks a comma or its end");
        if (count > WAITING)
            lua_rawseti(r->L, base, count);
        else if (count == WAITING)
            gather_list(r->L, base, count, over);
    }
    if (count < WAITING)
        gather_list(r->L, base, count, true);
    return true;
}

static void gather_object(lua_State *L, int base, int count, bool over) {
    lua_createtable(L, 0, over ? count : 2 * count);
    lua_insert(L, base);
    for (int i = 0; i < count; i++) {
        lua_pushvalue(L, base + 2 * i + 1);
        lua_pushvalue(L, base + 2 * i + 2);
        lua_rawset(L, base);
    }
    lua_settop(L, base);
}

static bool object(struct reader *r) {
    int base = lua_gettop(r->L) + 1, count = 0;
    bool over = take(r, '}');
    while (!over) {
        if (!take(r, '"'))
            return wrong(r, "a member has no name");
        if (!text(r))
            return false;
        if (!take(r, ':'))
            return wrong(r, "a name is not followed by a colon");
        if (!value(r))
            return false;
        count++;
        over = !take(r, ',');
        if (over && !take(r, '}'))
            return wrong(r, "an object lacks a comma or its end");
        if (count > WAITING)
            lua_rawset(r->L, base);
        else if (count == WAITING)
            gather_object(r->L, base, count, over);
    }
    if (count < WAITING)
        gather_object(r->L, base, count, true);
    return true;
}

static bool nested(struct reader *r, bool (*read)(struct reader *)) {
    r->at++;
    if (++r->depth > JSON_DEPTH)
        return wrong(r, "it is nested too deeply");
    luaL_checkstack(r->L, 2 * WAITING + 4, "nested too deeply");
    bool ok = read(r);
    r->depth--;
    return ok;
}

/* Pushes the value that comes next. */
static bool value(struct reader *r) {
    switch (peek(r)) {
    case '{':
        return nested(r, object);
    case '[':
        return nested(r, list);
    case '"':
        r->at++;
        return text(r);
    case 't':
        lua_pushboolean(r->L, 1);
        return word(r, "true");
    case 'f':
        lua_pushboolean(r->L, 0);
        return word(r, "false");
    case 'n':
        lua_pushnil(r->L);
        return word(r, "null");
    case '-':
    case '0' ... '9':
        return number(r);
    default:
        return wrong(r, r->at < r->end ? "a value is none of JSON's"
                                       : "it ends too early");
    }
}

int json_lua_decode(lua_State *L) {
    size_t size;
    const char *s = luaL_checklstring(L, 1, &size);
    struct reader r = {.L = L, .begin = s, .at = s, .end = s + size};
    lua_settop(L, 1);
    if (value(&r) && peek(&r) == '\0' && r.at == r.end)
        return 1;
    lua_pushnil(L);
    lua_pushfstring(L, "%s (at byte %d)",
                    r.problem ? r.problem : "something follows its end",
                    (int)(r.at - r.begin) + 1);
    return 2;
}
