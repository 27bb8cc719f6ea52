/* reply.c: see reply.h. */
#define _GNU_SOURCE
#include "airlock/reply.h"
#include "airlock/http.h"
#include "airlock/http_lines.h"
#include <http_parser.h>
#include <stdlib.h>
#include <string.h>

/* What is held of a body: a piece, and what may begin a value. */
enum { LINES_MAX = 2 * HTTP_HEAD_MAX, HELD_MAX = 1 << 20 };

struct reply {
    http_parser parser;
    const struct secrets *secrets;
    bool (*is_head)(void *arg);
    void *arg;
    struct buffer *out;
    struct buffer lines; /* of the head, or behind the chunks */
    struct buffer held;  /* of the body */
    bool in_name, in_body;
    size_t value_at; /* of the line that is being read; 0: it has none */
    bool chunked;    /* as the head said: lines behind the body may say more */
};

/* ---- the head ---- */

static int on_begin(http_parser *p) {
    struct reply *r = p->data;
    r->lines.length = r->held.length = 0;
    r->in_name = r->in_body = false;
    r->value_at = 0;
    return 0;
}

static int add_line(struct reply *r, const char *text, size_t length) {
    return buffer_add(&r->lines, text, length) ? 0 : -1;
}

static int on_status(http_parser *p, const char *at, size_t length) {
    return add_line(p->data, at, length);
}

/* Without the blanks behind a value: where a line was folded these would make
 * another value of it. */
static int end_line(struct reply *r) {
    const struct buffer *lines = &r->lines;
    while (r->value_at && lines->length > r->value_at &&
           http_is_blank(lines->data[lines->length - 1]))
        r->lines.length--;
    r->value_at = 0;
    return add_line(r, "\r\n", 2);
}

/* The line before ends where a name begins. */
static int on_name(http_parser *p, const char *at, size_t length) {
    struct reply *r = p->data;
    if (!r->in_name && (r->lines.length > 0 || !r->in_body) && end_line(r) < 0)
        return -1;
    r->in_name = true;
    return add_line(r, at, length);
}

static int on_value(http_parser *p, const char *at, size_t length) {
    struct reply *r = p->data;
    if (r->in_name && add_line(r, ": ", 2) < 0)
        return -1;
    if (r->in_name)
        r->value_at = r->lines.length;
    r->in_name = false;
    return add_line(r, at, length);
}

static int write_lines(struct reply *r) {
    secrets_remove(r->secrets, r->lines.data, r->lines.length);
    bool ok = buffer_add(r->out, r->lines.data, r->lines.length);
    r->lines.length = 0;
    return ok ? 0 : -1;
}

/* Whatever the head says of a length. */
static bool has_no_body(struct reply *r) {
    unsigned code = r->parser.status_code;
    enum { INTERIM = 1, NO_CONTENT = 204, NOT_MODIFIED = 304 };
    if (code / 100 == INTERIM) /* the answer follows */
        return true;
    return r->is_head(r->arg) || code == NO_CONTENT || code == NOT_MODIFIED;
}

/* Whether the client will find the same end of the body as the parser, which
 * reads a folded line, and names that are only similar, in its own way. */
static bool is_framed(const struct reply *r) {
    const http_parser *p = &r->parser;
    const struct buffer *lines = &r->lines;
    const char *status_end = memmem(lines->data, lines->length, "\r\n", 2);
    size_t at = (size_t)(status_end - lines->data) + 2;
    bool old = p->http_major != 1 || p->http_minor == 0;
    unsigned chunked = 0, lengths = 0;
    struct span name, value;
    while (http_next_line(lines, &at, &name, &value)) {
        const char *text = lines->data + name.at;
        if (!http_is_token(text, name.length))
            return false;
        if (http_is(text, name.length, "transfer-encoding")) {
            chunked++;
            if (!http_is(lines->data + value.at, value.length, "chunked"))
                return false;
        } else if (http_is(text, name.length, "content-length")) {
            lengths++;
        }
    }
    return at == lines->length && chunked <= 1 && !(old && chunked) &&
           chunked == ((p->flags & F_CHUNKED) != 0) &&
           chunked == (p->uses_transfer_encoding != 0) &&
           lengths == ((p->flags & F_CONTENTLENGTH) != 0) &&
           !(chunked && lengths);
}

static int on_head(http_parser *p) {
    struct reply *r = p->data;
    bool bare = has_no_body(r);
    if (end_line(r) < 0 || !is_framed(r))
        return -1;
    buffer_addf(r->out, "HTTP/%d.%d %03u ", p->http_major, p->http_minor,
                p->status_code);
    if (write_lines(r) < 0 || !buffer_add(r->out, "\r\n", 2))
        return -1;
    r->in_body = true;
    /* A bare head may be that of what would have chunks. */
    r->chunked = !bare && p->flags & F_CHUNKED;
    return bare ? 1 : 0;
}

/* ---- the body ---- */

static int write_held(struct reply *r, size_t partial) {
    struct buffer *b = &r->held;
    size_t length = b->length - partial;
    if (length == 0) /* would be the last chunk */
        return 0;
    if (r->chunked)
        buffer_addf(r->out, "%zx\r\n", length);
    bool ok = buffer_add(r->out, b->data, length) &&
              (!r->chunked || buffer_add(r->out, "\r\n", 2));
    memmove(b->data, b->data + length, partial);
    b->length = partial;
    return ok ? 0 : -1;
}

static int on_body(http_parser *p, const char *at, size_t length) {
    struct reply *r = p->data;
    if (!buffer_add(&r->held, at, length))
        return -1;
    return write_held(
        r, secrets_remove_so_far(r->secrets, r->held.data, r->held.length));
}

static int on_end(http_parser *p) {
    struct reply *r = p->data;
    secrets_remove(r->secrets, r->held.data, r->held.length);
    if (write_held(r, 0) < 0)
        return -1;
    if (!r->chunked)
        return 0;
    if (!buffer_add(r->out, "0\r\n", 3))
        return -1;
    if (r->lines.length > 0 && (end_line(r) < 0 || write_lines(r) < 0))
        return -1;
    return buffer_add(r->out, "\r\n", 2) ? 0 : -1;
}

/* ---- a connection ---- */

static const http_parser_settings settings = {
    .on_message_begin = on_begin,
    .on_status = on_status,
    .on_header_field = on_name,
    .on_header_value = on_value,
    .on_headers_complete = on_head,
    .on_body = on_body,
    .on_message_complete = on_end,
};

struct reply *reply_make(const struct secrets *s, bool (*is_head)(void *arg),
                         void *arg) {
    struct reply *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    http_parser_init(&r->parser, HTTP_RESPONSE);
    r->parser.data = r;
    r->secrets = s;
    r->is_head = is_head;
    r->arg = arg;
    buffer_init(&r->lines, LINES_MAX);
    buffer_init(&r->held, HELD_MAX);
    return r;
}

/* Both may have values. */
void reply_free(struct reply *r) {
    if (!r)
        return;
    buffer_wipe(&r->lines);
    buffer_wipe(&r->held);
    free(r);
}

int reply_take(struct reply *r, const char *data, size_t length,
               struct buffer *out) {
    r->out = out;
    size_t done = http_parser_execute(&r->parser, &settings, data, length);
    bool ok = HTTP_PARSER_ERRNO(&r->parser) == HPE_OK && done == length &&
              !r->parser.upgrade;
    return ok ? 0 : -1;
}
