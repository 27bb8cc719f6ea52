/* url.h: the parts of a request's URL: path segments, query parameters and
 * the types these carry (http-api.md §1.6 to §1.8). Knows nothing of HTTP. */
#ifndef CONTREE_BASE_URL_H
#define CONTREE_BASE_URL_H

#include "base/buffer.h"
#include "base/fault.h"
#include <stdint.h>

enum { URL_SEGMENTS = 24, URL_PARAMETERS = 256, URL_BYTES = 32 << 10 };

struct url {
    char *text; /* holds the strings of the other members */
    const char *segments[URL_SEGMENTS];
    size_t segment_count;
    bool slash; /* the path ended in one */
    struct {
        const char *name, *value; /* value "" for a bare name */
    } parameters[URL_PARAMETERS];
    size_t parameter_count;
};

/* Split a raw request target, then percent-decode its parts. A trailing slash
 * makes no segment. 400 for a broken escape, an encoded NUL, a space; 414 for
 * more than URL_BYTES or URL_PARAMETERS. */
int url_parse(struct url *u, const char *target, struct fault *f);
void url_clear(struct url *u);
/* Adds a slash and the segment, percent-encoded. */
void url_add_segment(struct buffer *b, const char *segment);

/* The value of the first parameter of that name, or NULL. */
const char *url_parameter(const struct url *u, const char *name);
/* The next one from *at on, for repeated names; start with 0. */
const char *url_next(const struct url *u, const char *name, size_t *at);

/* A flag: absent or "0" is false, "" or "1" true, else 400. */
int url_flag(const struct url *u, const char *name, bool *out, struct fault *f);
/* A decimal from `low` to `high`; *out stays when it is absent. */
int url_int(const struct url *u, const char *name, int64_t low, int64_t high,
            int64_t *out, struct fault *f);
/* Microseconds since 1970 from an ISO 8601 instant, an age like "2h" or plain
 * seconds ago; *out stays when absent. `now` in microseconds. */
int url_time(const struct url *u, const char *name, int64_t now, int64_t *out,
             struct fault *f);
/* A path inside an image, as clients give it: "etc", "./etc" and "/etc" are
 * one. A relative one is below "/" and must not have "..": 400. The caller
 * frees it; NULL with `f` filled. */
char *path_rooted(const char *given, struct fault *f);
/* The same without empty parts, ".", and at all without "..". */
char *path_normal(const char *given, struct fault *f);
/* In place; false for a broken escape or a NUL. */
bool percent_decode(char *s, bool plus_is_space);
/* A decimal integer and nothing else. */
bool parse_int(const char *text, int64_t *out);

#endif
