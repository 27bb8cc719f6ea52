/* pattern.c: see pattern.h. */
#define _GNU_SOURCE
#define PCRE2_CODE_UNIT_WIDTH 8
#include "airlock/policy/pattern.h"
#include "base/buffer.h"
#include "base/glob.h"
#include <pcre2.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { GLOB_BYTES = 1024, MATCH_LIMIT = 100000, HEAP_LIMIT_KIB = 1024 };

struct path_pattern {
    pcre2_code *code;
    pcre2_match_data *match;
    pcre2_match_context *limits;
};

static int compile(struct path_pattern *p, const char *glob, struct fault *f) {
    struct buffer regex;
    int error;
    PCRE2_SIZE at;
    buffer_init(&regex, 16 * GLOB_BYTES);
    bool right = strlen(glob) <= GLOB_BYTES && glob_to_regex(glob, &regex);
    if (right)
        p->code = pcre2_compile((PCRE2_SPTR)regex.data, regex.length,
                                PCRE2_DOTALL, &error, &at, NULL);
    buffer_free(&regex);
    if (!p->code)
        return fault_set(f, 422, "\"%.120s\" is not a glob", glob);
    p->match = pcre2_match_data_create(1, NULL);
    p->limits = pcre2_match_context_create(NULL);
    if (!p->match || !p->limits)
        return fault_memory(f);
    pcre2_set_match_limit(p->limits, MATCH_LIMIT);
    pcre2_set_heap_limit(p->limits, HEAP_LIMIT_KIB);
    return 0;
}

struct path_pattern *pattern_make(const char *glob, struct fault *f) {
    struct path_pattern *p = calloc(1, sizeof *p);
    if (!p) {
        fault_memory(f);
        return NULL;
    }
    if (compile(p, glob, f) == 0)
        return p;
    pattern_free(p);
    return NULL;
}

void pattern_free(struct path_pattern *p) {
    if (!p)
        return;
    pcre2_code_free(p->code);
    pcre2_match_data_free(p->match);
    pcre2_match_context_free(p->limits);
    free(p);
}

enum path_match pattern_match(const struct path_pattern *p, const char *path) {
    int rc = pcre2_match(p->code, (PCRE2_SPTR)path, strlen(path), 0, 0,
                         p->match, p->limits);
    return rc >= 0                     ? PATH_MATCHES
           : rc == PCRE2_ERROR_NOMATCH ? PATH_DIFFERS
                                       : PATH_UNKNOWN;
}

/* ---- paths ---- */

static int hex(char c) {
    const char *digits = "0123456789abcdef", *at;
    at = c ? strchr(digits, c >= 'A' && c <= 'F' ? c + 'a' - 'A' : c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* Letters that mean the same with and without an escape (RFC 3986 §2.3). */
static bool is_unreserved(int c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
           c == '~';
}

/* One letter, which may be escaped; false: it is unclear. */
static bool take(const char **p, const char *end, struct buffer *out) {
    char c = *(*p)++;
    if (c == '\\' || c == '\0' || c == '#')
        return false;
    if (c != '%')
        return buffer_add(out, &c, 1);
    int high = *p < end ? hex((*p)[0]) : -1;
    int low = high >= 0 && *p + 1 < end ? hex((*p)[1]) : -1;
    int value = high * 16 + low;
    if (low < 0 || value == '/' || value == '\\' || value == 0)
        return false;
    *p += 2;
    c = (char)value;
    return is_unreserved(value) ? buffer_add(out, &c, 1)
                                : buffer_addf(out, "%%%02X", value);
}

static bool has_strange_segment(const char *path) {
    for (const char *p = path; *p; p += *p != '\0') {
        size_t length = strcspn(p + 1, "/");
        const char *segment = p + 1;
        bool last = segment[length] == '\0';
        if ((length == 0 && !last) || (length == 1 && segment[0] == '.') ||
            (length == 2 && segment[0] == '.' && segment[1] == '.'))
            return true;
        /* "a;x=1/..;/": some servers drop what follows the ";". */
        if (length >= 2 && segment[0] == '.' && strchr(".;", segment[1]) &&
            memchr(segment, ';', length))
            return true;
        p = segment + length - 1;
    }
    return false;
}

char *path_as_read(const char *path, size_t length) {
    struct buffer out;
    const char *query = memchr(path, '?', length);
    const char *end = query ? query : path + length;
    buffer_init(&out, 3 * length + 1);
    if (path == end || *path != '/')
        return NULL;
    while (path < end)
        if (!take(&path, end, &out)) {
            buffer_free(&out);
            return NULL;
        }
    char *text = buffer_take(&out);
    if (!text || !has_strange_segment(text))
        return text;
    free(text);
    return NULL;
}
