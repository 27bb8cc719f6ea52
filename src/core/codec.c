#include "codec.h"
#include "bytes.h"
#include "lua_compat.h"

#include <stdint.h>
#include <string.h>

static const char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int codec_base64_encode(lua_State *L) {
    size_t size, left;
    const char *text = luaL_checklstring(L, 1, &size);
    const unsigned char *in = (const unsigned char *)text;
    char *out, *start;
    luaL_argcheck(L, size <= SIZE_MAX / 2, 1, "too large");
    out = start = lua_newuserdata(L, (size + 2) / 3 * 4 + 1);
    for (left = size; left >= 3; left -= 3, in += 3) {
        uint32_t bits = (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2];
        *out++ = alphabet[bits >> 18];
        *out++ = alphabet[bits >> 12 & 63];
        *out++ = alphabet[bits >> 6 & 63];
        *out++ = alphabet[bits & 63];
    }
    if (left > 0) {
        uint32_t bits = (uint32_t)in[0] << 16;
        if (left == 2)
            bits |= (uint32_t)in[1] << 8;
        *out++ = alphabet[bits >> 18];
        *out++ = alphabet[bits >> 12 & 63];
        *out++ = left == 2 ? alphabet[bits >> 6 & 63] : '=';
        *out++ = '=';
    }
    lua_pushlstring(L, start, (size_t)(out - start));
    return 1;
}

/* Digit values by byte; 64 and above are not digits. */
static const unsigned char digit[256] = {
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 62, 64, 64, 64, 63, 52, 53, 54, 55, 56, 57, 58, 59, 60,
    61, 64, 64, 64, 64, 64, 64, 64, 0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10,
    11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 64, 64, 64, 64,
    64, 64, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42,
    43, 44, 45, 46, 47, 48, 49, 50, 51, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64};

/* Decodes full groups of four digits; false at anything else. */
static bool decode_groups(const unsigned char *in, size_t groups, char *out) {
    for (; groups > 0; groups--, in += 4) {
        unsigned a = digit[in[0]], b = digit[in[1]];
        unsigned c = digit[in[2]], d = digit[in[3]];
        uint32_t bits = a << 18 | b << 12 | c << 6 | d;
        if ((a | b | c | d) > 63)
            return false;
        *out++ = (char)(bits >> 16);
        *out++ = (char)(bits >> 8);
        *out++ = (char)bits;
    }
    return true;
}

/* Decodes to `out`, which has room for size / 4 * 3 bytes; the number of
 * bytes written, or -1 when `text` is broken. */
static ptrdiff_t decode(const char *text, size_t size, char *out) {
    size_t padding = 0, whole;
    unsigned char last[4];
    if (size % 4 != 0)
        return -1;
    while (padding < 2 && padding < size && text[size - 1 - padding] == '=')
        padding++;
    whole = size / 4 - (padding > 0);
    if (!decode_groups((const unsigned char *)text, whole, out))
        return -1;
    if (padding > 0) {
        /* The last group as if its padding were zero digits. */
        memcpy(last, text + size - 4, 4);
        memset(last + 4 - padding, 'A', padding);
        if (!decode_groups(last, 1, out + whole * 3))
            return -1;
    }
    return (ptrdiff_t)(size / 4 * 3 - padding);
}

int codec_base64_decode(lua_State *L) {
    size_t size;
    const char *text = luaL_checklstring(L, 1, &size);
    char *out = lua_newuserdata(L, size / 4 * 3 + 1);
    ptrdiff_t length = decode(text, size, out);
    if (length < 0)
        lua_pushnil(L);
    else
        lua_pushlstring(L, out, (size_t)length);
    return 1;
}

int codec_newlines(lua_State *L) {
    size_t size;
    const char *s = luaL_checklstring(L, 1, &size), *end = s + size;
    lua_Integer count = 0;
    while ((s = memchr(s, '\n', (size_t)(end - s)))) {
        count++;
        s++;
    }
    lua_pushinteger(L, count);
    return 1;
}

int codec_is_ascii(lua_State *L) {
    size_t size;
    const char *text = luaL_checklstring(L, 1, &size);
    const unsigned char *s = (const unsigned char *)text;
    bool ok = true;
    for (size_t i = 0; i < size && ok; i++)
        ok = (s[i] >= 0x20 && s[i] <= 0x7E) || s[i] == '\t' || s[i] == '\n' ||
             s[i] == '\r';
    lua_pushboolean(L, ok);
    return 1;
}

/* The length of the UTF-8 sequence at s, where `left` > 0 bytes are; 0 when it
 * is not valid. */
static size_t utf8_sequence(const unsigned char *s, size_t left) {
    size_t length = s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : 4;
    unsigned char low = 0x80, high = 0xBF; /* bounds of the second byte */
    if (s[0] < 0x80)
        return 1;
    if (s[0] < 0xC2 || s[0] > 0xF4 || length > left)
        return 0;
    if (s[0] == 0xE0)
        low = 0xA0; /* else overlong */
    else if (s[0] == 0xED)
        high = 0x9F; /* else a surrogate */
    else if (s[0] == 0xF0)
        low = 0x90; /* else overlong */
    else if (s[0] == 0xF4)
        high = 0x8F; /* else above U+10FFFF */
    if (s[1] < low || s[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++)
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    return length;
}

int codec_is_utf8(lua_State *L) {
    size_t size, at = 0, step = 1;
    const char *text = luaL_checklstring(L, 1, &size);
    const unsigned char *s = (const unsigned char *)text;
    while (at < size && step > 0) {
        uint64_t eight = 0x80;
        if (size - at >= sizeof eight)
            memcpy(&eight, s + at, sizeof eight);
        step = (eight & 0x8080808080808080u) == 0
                   ? sizeof eight
                   : utf8_sequence(s + at, size - at);
        at += step;
    }
    lua_pushboolean(L, at >= size);
    return 1;
}

/* Is the byte ASCII that a JSON string needs no escape for? */
static bool is_plain(unsigned char c) {
    return c >= 0x20 && c < 0x7F && c != '"' && c != '\\';
}

/* Writes the escape of a byte, at most 6 characters; their number. */
static size_t escape(unsigned char c, char *out) {
    static const char short_for[] = "\"\"\\\\\nn\rr\tt";
    static const char hex[] = "0123456789abcdef";
    for (const char *s = short_for; *s; s += 2)
        if ((unsigned char)*s == c) {
            out[0] = '\\';
            out[1] = s[1];
            return 2;
        }
    memcpy(out, "\\u00", 4);
    out[4] = hex[c >> 4];
    out[5] = hex[c & 15];
    return 6;
}

char *codec_write_json(const char *text, size_t size, char *out) {
    const unsigned char *s = (const unsigned char *)text;
    for (size_t at = 0; at < size;) {
        size_t run = at, length;
        while (run < size && is_plain(s[run]))
            run++;
        memcpy(out, s + at, run - at);
        out += run - at;
        at = run;
        if (at == size)
            break;
        length = utf8_sequence(s + at, size - at);
        if (length == 0)
            return NULL;
        if (length == 1)
            out += escape(s[at], out);
        else
            out = (char *)memcpy(out, s + at, length) + length;
        at += length;
    }
    return out;
}

size_t codec_json_room(const char *text, size_t size) {
    size_t room = size + 2;
    for (size_t i = 0; i < size; i++)
        room += is_plain((unsigned char)text[i]) ? 0 : 5;
    return room;
}

/* Replaces the value on top of the stack; false if it can stay. */
static bool replace(lua_State *L) {
    if (lua_islightuserdata(L, -1) && !lua_touserdata(L, -1)) {
        lua_pop(L, 1);
        lua_pushnil(L);
        return true;
    }
#if LUA_VERSION_NUM >= 503
    if (lua_type(L, -1) == LUA_TNUMBER && !lua_isinteger(L, -1)) {
        int whole;
        lua_Integer value = lua_tointegerx(L, -1, &whole);
        if (!whole)
            return false;
        lua_pop(L, 1);
        lua_pushinteger(L, value);
        return true;
    }
#endif
    return false;
}

/* Tidies the table on top of the stack. */
static void tidy(lua_State *L) {
    luaL_checkstack(L, 6, "nested too deeply");
    lua_pushnil(L);
    while (lua_next(L, -2)) {
        if (lua_istable(L, -1))
            tidy(L);
        else if (replace(L)) {
            lua_pushvalue(L, -2);
            lua_insert(L, -2);
            lua_rawset(L, -4);
            continue;
        }
        lua_pop(L, 1);
    }
}

int codec_tidy(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    tidy(L);
    return 1;
}

#define BUFFER_TYPE "contree.core.buffer"

static struct bytes *check_buffer(lua_State *L) {
    return luaL_checkudata(L, 1, BUFFER_TYPE);
}

struct bytes *codec_buffer_at(lua_State *L, int index) {
    return lua_isnoneornil(L, index) ? NULL
                                     : luaL_checkudata(L, index, BUFFER_TYPE);
}

int codec_buffer_new(lua_State *L) {
    struct bytes *bytes = compat_newuserdata(L, sizeof *bytes);
    *bytes = (struct bytes){0};
    luaL_setmetatable(L, BUFFER_TYPE);
    return 1;
}

/* buffer:add(s) -> buffer */
static int buffer_add(lua_State *L) {
    struct bytes *bytes = check_buffer(L);
    size_t size;
    const char *data = luaL_checklstring(L, 2, &size);
    if (!bytes_append(bytes, data, size))
        return luaL_error(L, "not enough memory");
    lua_settop(L, 1);
    return 1;
}

static int buffer_take(lua_State *L) {
    struct bytes *bytes = check_buffer(L);
    lua_pushlstring(L, bytes->data ? bytes->data : "", bytes->length);
    bytes_free(bytes);
    return 1;
}

static int buffer_length(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)check_buffer(L)->length);
    return 1;
}

static int buffer_gc(lua_State *L) {
    bytes_free(check_buffer(L));
    return 0;
}

static const luaL_Reg methods[] = {{"add", buffer_add},
                                   {"take", buffer_take},
                                   {"length", buffer_length},
                                   {NULL, NULL}};

void codec_register(lua_State *L) {
    compat_newtype(L, BUFFER_TYPE, methods, buffer_gc);
    luaL_getmetatable(L, BUFFER_TYPE);
    lua_pushcfunction(L, buffer_length);
    lua_setfield(L, -2, "__len");
    lua_pop(L, 1);
}
