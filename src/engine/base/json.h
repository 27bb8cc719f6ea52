/* json.h: reading request bodies with errors that name the field, and writing
 * replies as text. Parsing is jansson's; replies are built in a struct buffer,
 * so that stored JSON is spliced in without being parsed again. */
#ifndef CONTREE_BASE_JSON_H
#define CONTREE_BASE_JSON_H

#include "base/buffer.h"
#include "base/fault.h"
#include "base/scope.h"
#include <jansson.h>
#include <stdint.h>

/* Parses an object. 400 with line and column for anything else: duplicate keys,
 * NaN, integers above 64 bits, invalid UTF-8, NUL, depth above 2,048. 413 for
 * too many names and values: freeing them takes the loop's time. The caller
 * owns the result. */
enum { JSON_VALUES_MAX = 1 << 18 };
json_t *json_parse(const char *text, size_t length, struct fault *f);

/* A reader of one object's members. The first wrong member fills `fault` (400),
 * and all later reads do nothing. So a caller reads everything, then checks
 * `fault.status` once. Absent and null are the same (http-api.md §0). */
struct fields {
    const json_t *object;
    const char *where; /* prefix of names in errors: "stdin." or "" */
    struct fault fault;
};
void fields_init(struct fields *r, const json_t *object, const char *where);
/* The readers return true and fill *out when the member exists and is right.
 * Otherwise *out does not change. Strings and values are borrowed from the
 * object. */
bool field_string(struct fields *r, const char *name, const char **out);
bool field_bool(struct fields *r, const char *name, bool *out);
/* An integer (1.0 counts as one) from `low` to `high`. */
bool field_int(struct fields *r, const char *name, int64_t low, int64_t high,
               int64_t *out);
/* A number from `low` to `high`. */
bool field_number(struct fields *r, const char *name, double low, double high,
                  double *out);
bool field_object(struct fields *r, const char *name, const json_t **out);
/* An array whose members are all strings. */
bool field_strings(struct fields *r, const char *name, const json_t **out);
/* Fail with 400 "`where.name` ...", for checks that only the caller can make.
 */
void field_refuse(struct fields *r, const char *name, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* Writing. Every json_* below appends `"key":value,` (no key when NULL);
 * json_close() and json_end() take the last comma away again. Bytes that are
 * not UTF-8 become U+FFFD. Failures show as b->failed. */
void json_open(struct buffer *b, const char *key, char bracket);
void json_close(struct buffer *b, char bracket);
void json_end(struct buffer *b);
void json_add_string(struct buffer *b, const char *key, const char *value);
void json_add_text(struct buffer *b, const char *key, const char *value,
                   size_t length);
/* A file name of an image. If it is not UTF-8 it is percent-encoded, and
 * another member, named `key`_encoding, is "percent". */
void json_add_name(struct buffer *b, const char *key, const char *name);
bool json_is_utf8(const char *text, size_t length);
/* The empty string is written as null too. */
void json_add_optional(struct buffer *b, const char *key, const char *value);
void json_add_int(struct buffer *b, const char *key, int64_t value);
void json_add_number(struct buffer *b, const char *key, double value);
void json_add_bool(struct buffer *b, const char *key, bool value);
void json_add_time(struct buffer *b, const char *key, int64_t microseconds);
/* `text` is JSON already; NULL is written as null. */
void json_add_raw(struct buffer *b, const char *key, const char *text,
                  size_t length);
void json_add_value(struct buffer *b, const char *key, const json_t *value);
/* Any bytes. */
void json_add_base64(struct buffer *b, const char *key, const void *data,
                     size_t length);
/* Members `value` and `encoding` of a StreamRepr (http-api.md §5.4). */
void json_add_stream(struct buffer *b, const void *data, size_t length);

/* Decode the value of a StreamRepr into malloc'd bytes. False, with nothing
 * allocated, for invalid base64 or an unknown encoding. */
bool stream_decode(const char *value, const char *encoding, char **data,
                   size_t *length);

#endif
