/* codec.h: base64, JSON strings, checks of text, and joining of chunks. */
#ifndef CONTREE_CODEC_H
#define CONTREE_CODEC_H

#include "bytes.h"

#include <lua.h>
#include <stddef.h>

#pragma GCC visibility push(hidden)

/* core.base64_encode(s) -> text: standard alphabet, padded, one line. */
int codec_base64_encode(lua_State *L);
/* core.base64_decode(s) -> bytes | nil: no white space, padding required; the
 * unused bits before the padding are ignored. */
int codec_base64_decode(lua_State *L);
/* core.newlines(string) -> the number of newlines */
int codec_newlines(lua_State *L);
/* core.is_ascii(s): every byte is 0x20 to 0x7E, TAB, LF or CR (the text that
 * travels unencoded, http-api.md §5.4). */
int codec_is_ascii(lua_State *L);
/* core.is_utf8(s): no surrogates, no overlong forms, at most U+10FFFF. */
int codec_is_utf8(lua_State *L);
/* The bytes that a JSON string of `size` bytes takes at most, with its quotes.
 */
size_t codec_json_room(const char *text, size_t size);
/* Writes `size` bytes as a JSON string without its quotes. The end of what it
 * wrote, or NULL when they are not UTF-8. */
char *codec_write_json(const char *text, size_t size, char *out);
/* core.tidy(table) -> table: drops the nulls (light userdata NULL) that it and
 * the tables in it hold, and gives Lua 5.4 whole numbers as integers. */
int codec_tidy(lua_State *L);
/* core.buffer() -> buffer: add(s), take() -> s, length() and #buffer. */
int codec_buffer_new(lua_State *L);
/* The bytes of a buffer; NULL for nil or none. */
struct bytes *codec_buffer_at(lua_State *L, int index);
void codec_register(lua_State *L);

#pragma GCC visibility pop

#endif
