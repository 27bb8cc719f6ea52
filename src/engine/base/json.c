/* json.c: see json.h. */
#include "base/json.h"
#include "base/clock.h"
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An upper bound for names and values: each follows one of these characters. */
static size_t count_values(const char *text, size_t length) {
    size_t count = 0;
    bool in_string = false;
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        if (c == '"')
            in_string = !in_string;
        else if (in_string && c == '\\')
            i++;
        else if (!in_string)
            count += c == ',' || c == ':' || c == '[' || c == '{';
    }
    return count;
}

json_t *json_parse(const char *text, size_t length, struct fault *f) {
    json_error_t error;
    if (count_values(text, length) > JSON_VALUES_MAX) {
        fault_set(f, 413, "the body has more than %d values", JSON_VALUES_MAX);
        return NULL;
    }
    /* DISABLE_EOF_CHECK is not given: bytes after the object are refused. */
    json_t *root =
        json_loadb(text ? text : "", length, JSON_REJECT_DUPLICATES, &error);
    if (!root) {
        fault_set(f, 400, "the body is not valid JSON: %s (line %d, column %d)",
                  error.text, error.line, error.column);
        return NULL;
    }
    if (!json_is_object(root)) {
        json_decref(root);
        fault_set(f, 400, "the body must be a JSON object");
        return NULL;
    }
    return root;
}

void fields_init(struct fields *r, const json_t *object, const char *where) {
    r->object = object;
    r->where = where;
    r->fault.status = 0;
}

void field_refuse(struct fields *r, const char *name, const char *format, ...) {
    char text[320];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fault_set(&r->fault, 400, "%s%s %s", r->where, name, text);
}

static const char *type_name(const json_t *value) {
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "a boolean";
    default:
        return "null";
    }
}

/* The member, or NULL when it is absent or an earlier one was wrong. */
static const json_t *member(struct fields *r, const char *name) {
    const json_t *value =
        r->fault.status ? NULL : json_object_get(r->object, name);
    return json_is_null(value) ? NULL : value;
}

static bool refuse_type(struct fields *r, const char *name, const char *wanted,
                        const json_t *value) {
    field_refuse(r, name, "must be %s, not %s", wanted, type_name(value));
    return false;
}

bool field_string(struct fields *r, const char *name, const char **out) {
    const json_t *value = member(r, name);
    if (!value)
        return false;
    if (!json_is_string(value))
        return refuse_type(r, name, "a string", value);
    *out = json_string_value(value);
    return true;
}

bool field_bool(struct fields *r, const char *name, bool *out) {
    const json_t *value = member(r, name);
    if (!value)
        return false;
    if (!json_is_boolean(value))
        return refuse_type(r, name, "true or false", value);
    *out = json_is_true(value);
    return true;
}

bool field_int(struct fields *r, const char *name, int64_t low, int64_t high,
               int64_t *out) {
    const json_t *value = member(r, name);
    if (!value)
        return false;
    if (!json_is_number(value))
        return refuse_type(r, name, "an integer", value);
    double number = json_number_value(value);
    int64_t integer = json_integer_value(value);
    bool whole = json_is_integer(value);
    /* A double is exact up to 2^53. Beyond that only integers are accepted. */
    if (!whole && number > -9007199254740992.0 && number < 9007199254740992.0) {
        integer = (int64_t)number;
        whole = (double)integer == number;
    }
    if (!whole || integer < low || integer > high) {
        field_refuse(r, name, "must be an integer from %lld to %lld, not %.15g",
                     (long long)low, (long long)high, number);
        return false;
    }
    *out = integer;
    return true;
}

bool field_number(struct fields *r, const char *name, double low, double high,
                  double *out) {
    const json_t *value = member(r, name);
    if (!value)
        return false;
    if (!json_is_number(value))
        return refuse_type(r, name, "a number", value);
    double number = json_number_value(value);
    if (number < low || number > high) {
        field_refuse(r, name, "must be a number from %.15g to %.15g, not %.15g",
                     low, high, number);
        return false;
    }
    *out = number;
    return true;
}

bool field_object(struct fields *r, const char *name, const json_t **out) {
    const json_t *value = member(r, name);
    if (!value)
        return false;
    if (!json_is_object(value))
        return refuse_type(r, name, "an object", value);
    *out = value;
    return true;
}

bool field_strings(struct fields *r, const char *name, const json_t **out) {
    const json_t *value = member(r, name), *item;
    size_t i;
    if (!value)
        return false;
    if (!json_is_array(value))
        return refuse_type(r, name, "an array of strings", value);
    json_array_foreach(value, i, item) {
        if (!json_is_string(item)) {
            field_refuse(r, name, "must be an array of strings; item %zu is %s",
                         i, type_name(item));
            return false;
        }
    }
    *out = value;
    return true;
}

/* Length of the UTF-8 sequence at `s`, or 0 when it is invalid (RFC 3629: no
 * overlong forms, no surrogates, nothing above U+10FFFF). */
static size_t utf8_length(const unsigned char *s, size_t left) {
    size_t n = s[0] < 0x80                    ? 1
               : s[0] >= 0xc2 && s[0] <= 0xdf ? 2
               : (s[0] & 0xf0) == 0xe0        ? 3
               : s[0] >= 0xf0 && s[0] <= 0xf4 ? 4
                                              : 0;
    if (n == 0 || n > left)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
        (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return n;
}

static void add_escape(struct buffer *b, unsigned char c) {
    static const char two[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    for (const char *p = two; *p; p += 2)
        if ((unsigned char)p[0] == c) {
            char text[2] = {'\\', p[1]};
            buffer_add(b, text, 2);
            return;
        }
    buffer_addf(b, "\\u%04x", c);
}

/* The text between the quotes. Runs of plain bytes are copied at once. */
static void add_escaped(struct buffer *b, const char *text, size_t length) {
    const unsigned char *s = (const unsigned char *)text;
    size_t start = 0, i = 0;
    while (i < length) {
        size_t n = utf8_length(s + i, length - i);
        if (n && s[i] >= ' ' && s[i] != '"' && s[i] != '\\' && s[i] != 127) {
            i += n;
            continue;
        }
        buffer_add(b, text + start, i - start);
        if (n)
            add_escape(b, s[i]);
        else
            buffer_add(b, "\\ufffd", 6);
        start = ++i;
    }
    buffer_add(b, text + start, i - start);
}

static void add_key(struct buffer *b, const char *key) {
    if (!key)
        return;
    buffer_add(b, "\"", 1);
    add_escaped(b, key, strlen(key));
    buffer_add(b, "\":", 2);
}

void json_open(struct buffer *b, const char *key, char bracket) {
    add_key(b, key);
    buffer_add(b, &bracket, 1);
}

void json_end(struct buffer *b) {
    if (b->length && b->data[b->length - 1] == ',')
        b->data[--b->length] = 0;
}

void json_close(struct buffer *b, char bracket) {
    json_end(b);
    char text[2] = {bracket, ','};
    buffer_add(b, text, 2);
}

void json_add_text(struct buffer *b, const char *key, const char *value,
                   size_t length) {
    add_key(b, key);
    buffer_add(b, "\"", 1);
    add_escaped(b, value, length);
    buffer_add(b, "\",", 2);
}

void json_add_string(struct buffer *b, const char *key, const char *value) {
    if (value)
        json_add_text(b, key, value, strlen(value));
    else
        json_add_raw(b, key, NULL, 0);
}

bool json_is_utf8(const char *text, size_t length) {
    size_t i = 0, n = 1;
    for (; i < length && n; i += n)
        n = utf8_length((const unsigned char *)text + i, length - i);
    return n > 0;
}

/* Bytes that are not UTF-8, and the percent sign, become %XX. */
static void add_percent(struct buffer *b, const char *name) {
    size_t left = strlen(name);
    while (left) {
        const unsigned char *s = (const unsigned char *)name;
        size_t n = utf8_length(s, left);
        if (!n || *s == '%')
            buffer_addf(b, "%%%02X", *s);
        else
            add_escaped(b, name, n);
        n = n ? n : 1;
        name += n;
        left -= n;
    }
}

void json_add_name(struct buffer *b, const char *key, const char *name) {
    char encoding[64];
    if (json_is_utf8(name, strlen(name))) {
        json_add_string(b, key, name);
        return;
    }
    add_key(b, key);
    buffer_add(b, "\"", 1);
    add_percent(b, name);
    buffer_add(b, "\",", 2);
    snprintf(encoding, sizeof encoding, "%s_encoding", key);
    json_add_string(b, encoding, "percent");
}

void json_add_optional(struct buffer *b, const char *key, const char *value) {
    json_add_string(b, key, value && *value ? value : NULL);
}

/* Write at least `width` decimal digits and a comma. With printf this would
 * take a tenth of the time for a short run's records. */
static void add_digits(struct buffer *b, uint64_t value, int width) {
    char text[24], *p = text + sizeof text;
    *--p = ',';
    do {
        *--p = (char)('0' + value % 10);
        value /= 10;
    } while (value || text + sizeof text - 1 - p < width);
    buffer_add(b, p, (size_t)(text + sizeof text - p));
}

void json_add_int(struct buffer *b, const char *key, int64_t value) {
    add_key(b, key);
    if (value < 0)
        buffer_add(b, "-", 1);
    add_digits(b, value < 0 ? -(uint64_t)value : (uint64_t)value, 1);
}

/* Written with six decimals, because these are seconds. */
void json_add_number(struct buffer *b, const char *key, double value) {
    double positive = value < 0 ? -value : value;
    add_key(b, key);
    if (!(positive < 1e12)) { /* too large, or NaN */
        buffer_add(b, "0,", 2);
        return;
    }
    uint64_t millionths = (uint64_t)(positive * 1e6 + 0.5);
    if (value < 0)
        buffer_add(b, "-", 1);
    add_digits(b, millionths / 1000000, 1);
    b->length -= b->failed ? 0 : 1;
    buffer_add(b, ".", 1);
    add_digits(b, millionths % 1000000, 6);
}

void json_add_bool(struct buffer *b, const char *key, bool value) {
    add_key(b, key);
    buffer_add(b, value ? "true," : "false,", value ? 5 : 6);
}

void json_add_time(struct buffer *b, const char *key, int64_t microseconds) {
    char text[32];
    format_time(microseconds, text);
    json_add_string(b, key, text);
}

void json_add_raw(struct buffer *b, const char *key, const char *text,
                  size_t length) {
    add_key(b, key);
    if (text)
        buffer_add(b, text, length);
    else
        buffer_add(b, "null", 4);
    buffer_add(b, ",", 1);
}

static int dump_into(const char *text, size_t length, void *buffer) {
    return buffer_add(buffer, text, length) ? 0 : -1;
}

void json_add_value(struct buffer *b, const char *key, const json_t *value) {
    add_key(b, key);
    json_dump_callback(value, dump_into, b, JSON_COMPACT | JSON_ENCODE_ANY);
    buffer_add(b, ",", 1);
}

static bool is_plain(const unsigned char *s, size_t length) {
    for (size_t i = 0; i < length; i++)
        if ((s[i] < 0x20 || s[i] > 0x7e) && s[i] != '\t' && s[i] != '\n' &&
            s[i] != '\r')
            return false;
    return true;
}

/* In pieces, because EVP counts in int and needs one contiguous output. */
static void add_base64(struct buffer *b, const unsigned char *s, size_t n) {
    enum { PIECE = 3 * 1024 };
    unsigned char text[PIECE / 3 * 4 + 1];
    while (n) {
        int piece = n < PIECE ? (int)n : PIECE;
        int length = EVP_EncodeBlock(text, s, piece);
        buffer_add(b, text, (size_t)length);
        s += piece;
        n -= (size_t)piece;
    }
}

void json_add_base64(struct buffer *b, const char *key, const void *data,
                     size_t length) {
    add_key(b, key);
    buffer_add(b, "\"", 1);
    add_base64(b, data, length);
    buffer_add(b, "\",", 2);
}

void json_add_stream(struct buffer *b, const void *data, size_t length) {
    if (is_plain(data, length)) {
        json_add_text(b, "value", data ? data : "", length);
        json_add_string(b, "encoding", "ascii");
        return;
    }
    json_add_base64(b, "value", data, length);
    json_add_string(b, "encoding", "base64");
}

static bool decode_base64(const char *value, char **data, size_t *length) {
    size_t n = strlen(value);
    if (n % 4 || n > INT32_MAX)
        return false;
    size_t padding = n && value[n - 1] == '=' ? 1 + (value[n - 2] == '=') : 0;
    /* EVP would take '=' anywhere for zero bits, and skip white space at the
     * ends, so count the valid characters first. */
    if (strcspn(value, "= \t\r\n") < n - padding)
        return false;
    char *out = malloc(n / 4 * 3 + 1);
    if (!out)
        return false;
    int got = EVP_DecodeBlock((unsigned char *)out,
                              (const unsigned char *)value, (int)n);
    if (got < 0) {
        free(out);
        return false;
    }
    *data = out;
    *length = (size_t)got - padding;
    return true;
}

bool stream_decode(const char *value, const char *encoding, char **data,
                   size_t *length) {
    if (strcmp(encoding, "base64") == 0)
        return decode_base64(value, data, length);
    if (strcmp(encoding, "ascii") != 0)
        return false;
    *length = strlen(value);
    *data = strdup(value);
    return *data != NULL;
}
