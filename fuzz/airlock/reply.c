/* reply.c: what a server answers comes to the client as it is, in whatever
 * pieces, but for the values of secrets: the client's own parser reads the same
 * heads and bodies, with placeholders. The first bytes say how it comes; the
 * rest is text, in which \1 and \2 are values, of which one has the other in
 * it. */
#define _GNU_SOURCE
#include "airlock/reply.h"
#include "../input.h"
#include <http_parser.h>

#define INNER "value-0123456789abcdef"
#define OUTER "<" INNER "@host>"

enum { ROOM = 4 << 20 };

static struct secrets make_secrets(void) {
    struct secrets s;
    struct fault f;
    json_t *object =
        json_loads("{\"A\":{\"value\":\"" INNER "\",\"hosts\":[\"a.example\"],"
                   "\"placeholder\":\"place-0123456789abcdef\"},"
                   "\"B\":{\"value\":\"" OUTER "\",\"hosts\":[\"a.example\"],"
                   "\"placeholder\":\"PLACEOFTHEOUTERVALUE-98765432\"}}",
                   0, NULL);
    HOLDS(object && secrets_parse(&s, object, "secrets", &f) == 0);
    json_decref(object);
    return s;
}

/* Which requests were HEAD, a bit each. */
static bool is_head(void *arg) {
    unsigned *heads = arg;
    bool is = *heads & 1;
    *heads >>= 1;
    return is;
}

/* ---- reading ---- */

/* What a client gets: all texts of all answers, with a mark behind each. A body
 * is one text, wherever chunks cut it. */
struct reader {
    const struct secrets *secrets; /* to be removed, or NULL */
    struct buffer told, text;
    unsigned heads;
    char kind;
};

static void end_text(struct reader *r) {
    while (r->kind == 'v' && r->text.length > 0 &&
           strchr(" \t", r->text.data[r->text.length - 1]))
        r->text.length--; /* blanks behind a value mean nothing */
    if (r->secrets)
        secrets_remove(r->secrets, r->text.data, r->text.length);
    if (r->kind)
        buffer_addf(&r->told, "%c%zu:", r->kind, r->text.length);
    buffer_add(&r->told, r->text.data, r->text.length);
    r->text.length = 0;
    r->kind = 0;
}

static int add(http_parser *p, char kind, const char *at, size_t length) {
    struct reader *r = p->data;
    if (r->kind != kind)
        end_text(r);
    r->kind = kind;
    buffer_add(&r->text, at, length);
    return 0;
}
static int on_status(http_parser *p, const char *at, size_t length) {
    return add(p, 's', at, length);
}
static int on_name(http_parser *p, const char *at, size_t length) {
    return add(p, 'n', at, length);
}
static int on_value(http_parser *p, const char *at, size_t length) {
    return add(p, 'v', at, length);
}
static int on_body(http_parser *p, const char *at, size_t length) {
    return add(p, 'b', at, length);
}
static int on_head(http_parser *p) {
    struct reader *r = p->data;
    unsigned code = p->status_code;
    end_text(r);
    buffer_addf(&r->told, "h%u,%u.%u;", code, p->http_major, p->http_minor);
    bool bare =
        code / 100 == 1 || is_head(&r->heads) || code == 204 || code == 304;
    return bare ? 1 : 0;
}
static int on_end(http_parser *p) {
    end_text(p->data);
    buffer_addf(&((struct reader *)p->data)->told, "e;");
    return 0;
}

/* False: that is no sequence of answers. The caller frees *out. */
static bool read_answers(const struct buffer *b, const struct secrets *s,
                         unsigned heads, struct buffer *out) {
    static const http_parser_settings settings = {
        .on_status = on_status,
        .on_header_field = on_name,
        .on_header_value = on_value,
        .on_headers_complete = on_head,
        .on_body = on_body,
        .on_message_complete = on_end};
    struct reader r = {.secrets = s, .heads = heads};
    http_parser parser;
    http_parser_init(&parser, HTTP_RESPONSE);
    parser.data = &r;
    buffer_init(&r.told, ROOM);
    buffer_init(&r.text, ROOM);
    buffer_add(&r.told, "", 0);
    size_t done = http_parser_execute(&parser, &settings, b->data, b->length);
    bool ok = done == b->length && HTTP_PARSER_ERRNO(&parser) == HPE_OK &&
              !parser.upgrade;
    if (ok)
        http_parser_execute(&parser, &settings, NULL, 0);
    end_text(&r);
    buffer_free(&r.text);
    *out = r.told;
    return ok && HTTP_PARSER_ERRNO(&parser) == HPE_OK;
}

/* ---- passing on ---- */

/* False: it is refused. The caller frees *out. */
static bool pass(const struct secrets *s, const struct buffer *b,
                 unsigned heads, size_t piece, struct buffer *out) {
    struct reply *r = reply_make(s, is_head, &heads);
    int rc = 0;
    HOLDS(r);
    buffer_init(out, ROOM);
    for (size_t at = 0; at < b->length && rc == 0; at += piece)
        rc = reply_take(r, b->data + at,
                        b->length - at < piece ? b->length - at : piece, out);
    if (rc == 0)
        rc = reply_take(r, NULL, 0, out);
    reply_free(r);
    return rc == 0;
}

static bool has(const struct buffer *b, const char *text) {
    return b->length > 0 && memmem(b->data, b->length, text, strlen(text));
}

static bool is_same(const struct buffer *a, const struct buffer *b) {
    return a->length == b->length &&
           (a->length == 0 || memcmp(a->data, b->data, a->length) == 0);
}

static struct buffer expand(struct input *in) {
    struct buffer b;
    buffer_init(&b, ROOM);
    while (in->left > 0) {
        char c = (char)input_byte(in);
        if (c == 1)
            buffer_add(&b, INNER, strlen(INNER));
        else if (c == 2)
            buffer_add(&b, OUTER, strlen(OUTER));
        else
            buffer_add(&b, &c, 1);
    }
    return b;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct secrets secrets; /* made once */
    struct input in = {data, size};
    struct buffer passed, read, got;
    if (!secrets.count)
        secrets = make_secrets();
    size_t piece = 1 + input_byte(&in);
    unsigned heads = input_byte(&in);
    struct buffer b = expand(&in);
    bool ok = pass(&secrets, &b, heads, piece, &passed);
    HOLDS(!has(&passed, INNER));
    bool readable = read_answers(&b, &secrets, heads, &read);
    if (ok) {
        HOLDS(readable && read_answers(&passed, NULL, heads, &got));
        HOLDS(is_same(&read, &got));
        buffer_free(&got);
    }
    buffer_free(&read);
    buffer_free(&passed);
    buffer_free(&b);
    return 0;
}
