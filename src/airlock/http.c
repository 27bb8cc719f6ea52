/* http.c: see http.h. */
#define _GNU_SOURCE
#include "airlock/http.h"
#include "airlock/http_internal.h"
#include <stdlib.h>
#include <string.h>

int http_refuse(struct http *h, enum refusal why) {
    if (h->why == REFUSED_NOT)
        h->why = why;
    return -1;
}

enum {
    LINES_MAX = 2 * HTTP_HEAD_MAX,
    HELD_MAX = 1 << 20,
    REST_MAX = 1 << 20 /* of what is taken at once */
};

/* It may have had secrets. */
static void wipe(struct buffer *b) {
    if (b->data)
        explicit_bzero(b->data, b->capacity);
    buffer_free(b);
}

/* ---- one header ---- */

/* The next item of a list with commas; false at its end. */
static bool next_item(const char **p, const char *end, const char **item,
                      size_t *length) {
    while (*p < end && (http_is_blank(**p) || **p == ','))
        ++*p;
    if (*p == end)
        return false;
    const char *comma = memchr(*p, ',', (size_t)(end - *p));
    const char *stop = comma ? comma : end;
    *item = *p;
    *p = stop;
    while (stop > *item && http_is_blank(stop[-1]))
        stop--;
    *length = (size_t)(stop - *item);
    return true;
}

/* "name" or "name:port". A connection to an address may name any host. */
static bool names_target(const struct http *h, const char *host,
                         size_t length) {
    char name[NAME_SIZE], port[16];
    const char *colon = memchr(host, ':', length);
    size_t size = colon ? (size_t)(colon - host) : length;
    if (!h->target->name)
        return true;
    if (!name_normal(host, size, name) || strcmp(name, h->target->name) != 0)
        return false;
    snprintf(port, sizeof port, ":%d", h->target->port);
    return !colon || http_is(colon, length - size, port) || length == size + 1;
}

/* HTTP/2 in the clear may be asked for, and the server may not listen: so the
 * request goes on without that. Other protocols would not be seen. */
static bool is_h2c(const char *value, size_t length) {
    const char *p = value, *item;
    size_t size;
    while (next_item(&p, value + length, &item, &size))
        if (!http_is(item, size, "h2c"))
            return false;
    return true;
}

/* `Connection` without what is about HTTP/2. */
static void write_connection(struct http *h, const char *value, size_t length,
                             size_t at) {
    struct buffer kept;
    const char *p = value, *item;
    size_t size;
    buffer_init(&kept, HTTP_HEAD_MAX);
    while (next_item(&p, value + length, &item, &size))
        if (!http_is(item, size, "upgrade") &&
            !http_is(item, size, "http2-settings"))
            buffer_addf(&kept, "%s%.*s", kept.length ? ", " : "", (int)size,
                        item);
    h->lines.length = at;
    if (kept.length > 0)
        buffer_addf(&h->lines, "Connection: %s\r\n", kept.data);
    if (kept.failed)
        h->wrong = true;
    buffer_free(&kept);
}

static bool has_control(const char *text, size_t length) {
    for (size_t i = 0; i < length; i++)
        if (((unsigned char)text[i] < ' ' && text[i] != '\t') ||
            text[i] == 0x7f)
            return true;
    return false;
}

/* `length` bytes of `lines` from `at` on are the value of a header. */
static int use_secret_in(struct http *h, enum secret_place place,
                         const char *name, size_t name_length, size_t at,
                         size_t length) {
    char header[NAME_SIZE];
    if (!h->secrets)
        return 0;
    snprintf(header, sizeof header, "%.*s", (int)name_length, name);
    enum refusal why = secrets_insert(h->secrets, h->target, place, header,
                                      h->lines.data + at, length);
    return why == REFUSED_NOT ? 0 : http_refuse(h, why);
}

/* By these the answer would have a secret in a form that is not found: in
 * pieces, or compressed. */
static bool is_of_form(const char *name, size_t size) {
    return http_is(name, size, "accept-encoding") ||
           http_is(name, size, "te") || http_is(name, size, "range") ||
           http_is(name, size, "if-range");
}

static int end_header(struct http *h) {
    if (!h->in_header)
        return 0;
    h->in_header = false;
    if (!h->in_value)
        buffer_add(&h->lines, ": ", 2);
    if (!buffer_add(&h->lines, "\r\n", 2))
        return http_refuse(h, REFUSED_LIMIT);
    const char *name = h->lines.data + h->name.at;
    size_t size = h->name.length, at = h->name.at;
    size_t value_at = at + size + 2, length = h->lines.length - 2 - value_at;
    const char *value = h->lines.data + value_at;
    while (length > 0 && http_is_blank(value[length - 1]))
        length--;
    if (!http_is_token(name, size) || has_control(value, length)) {
        h->wrong = true;
        return 0;
    }
    if (use_secret_in(h, IN_HEADERS, name, size, value_at, length) < 0)
        return -1;
    value = h->lines.data + value_at;
    if (h->wanted && is_of_form(name, size)) {
        h->lines.length = at;
    } else if (http_is(name, size, "host")) {
        h->hosts++;
        h->other_host = h->other_host || !names_target(h, value, length);
    } else if (http_is(name, size, "transfer-encoding")) {
        /* Any other is read differently by different servers. */
        h->wrong = h->wrong || h->chunked || !http_is(value, length, "chunked");
        h->chunked = true;
    } else if (http_is(name, size, "content-length")) {
        h->lengths++;
    } else if (http_is(name, size, "upgrade")) {
        if (!is_h2c(value, length))
            return http_refuse(h, REFUSED_PROTOCOL);
        h->lines.length = at;
    } else if (http_is(name, size, "http2-settings")) {
        h->lines.length = at;
    } else if (http_is(name, size, "connection")) {
        char *copy = strndup(value, length);
        if (!copy)
            return http_refuse(h, REFUSED_LIMIT);
        write_connection(h, copy, length, at);
        free(copy);
    }
    return 0;
}

/* ---- the head ---- */

static int begin(http_parser *p) {
    struct http *h = p->data;
    h->url.length = h->lines.length = 0;
    h->in_header = h->in_value = h->in_body = h->chunked = h->wrong = false;
    h->other_host = false;
    h->hosts = h->lengths = 0;
    h->path = (struct span){0};
    return 0;
}

static int on_url(http_parser *p, const char *at, size_t length) {
    struct http *h = p->data;
    return buffer_add(&h->url, at, length) ? 0 : http_refuse(h, REFUSED_LIMIT);
}

static int on_name(http_parser *p, const char *at, size_t length) {
    struct http *h = p->data;
    if (h->in_body) /* a trailer: dropped */
        return 0;
    if (h->in_value && end_header(h) < 0)
        return -1;
    if (!h->in_header)
        h->name = (struct span){h->lines.length, 0};
    h->in_header = true;
    h->in_value = false;
    h->name.length += length;
    return buffer_add(&h->lines, at, length) ? 0
                                             : http_refuse(h, REFUSED_LIMIT);
}

static int on_value(http_parser *p, const char *at, size_t length) {
    struct http *h = p->data;
    if (h->in_body)
        return 0;
    if (!h->in_value)
        buffer_add(&h->lines, ": ", 2);
    h->in_value = true;
    return buffer_add(&h->lines, at, length) ? 0
                                             : http_refuse(h, REFUSED_LIMIT);
}

/* Makes h->path a span of the URL. -1: it is for another host, or malformed. */
static int read_target(struct http *h) {
    struct http_parser_url u;
    http_parser_url_init(&u);
    const char *url = h->url.data;
    const char *fragment = memchr(url, '#', h->url.length);
    bool is_path = url[0] == '/';
    if (fragment || has_control(url, h->url.length) ||
        memchr(url, ' ', h->url.length))
        return http_refuse(h, REFUSED_PROTOCOL);
    if (is_path || (h->url.length == 1 && url[0] == '*')) {
        h->path = (struct span){0, h->url.length};
        return 0;
    }
    if (http_parser_parse_url(url, h->url.length, 0, &u) != 0 ||
        u.field_set & 1 << UF_USERINFO || !(u.field_set & 1 << UF_HOST))
        return http_refuse(h, REFUSED_HOST);
    /* The host, and its port, up to the path. */
    size_t host = u.field_data[UF_HOST].off;
    size_t end = host + strcspn(url + host, "/?");
    if (!http_is(url + u.field_data[UF_SCHEMA].off, u.field_data[UF_SCHEMA].len,
                 "http") ||
        !names_target(h, url + host, end - host))
        return http_refuse(h, REFUSED_HOST);
    h->path = (struct span){end, h->url.length - end};
    return 0;
}

const char *http_method(const struct http *h) {
    return http_method_str((enum http_method)h->parser.method);
}

/* Whether the parser takes the same headers for the body's length as we do: it
 * also does so for some that are only similar. */
static bool is_framed(const struct http *h) {
    const http_parser *p = &h->parser;
    return h->chunked == ((p->flags & F_CHUNKED) != 0) &&
           h->chunked == (p->uses_transfer_encoding != 0) &&
           h->lengths == ((p->flags & F_CONTENTLENGTH) != 0) &&
           !(h->chunked && h->lengths);
}

bool http_has_path(const struct http *h) {
    return h->path.length > 0 && h->url.data[h->path.at] != '?';
}

static void check(struct http *h) {
    const http_parser *p = &h->parser;
    bool old = p->http_major == 1 && p->http_minor == 0;
    bool new = p->http_major == 1 && p->http_minor == 1;
    if (p->method == HTTP_CONNECT) {
        http_refuse(h, REFUSED_METHOD);
        return;
    }
    if (read_target(h) < 0)
        return;
    if ((!old && !new) || (old && h->chunked) || h->wrong || !is_framed(h))
        http_refuse(h, REFUSED_PROTOCOL);
    else if (h->other_host || h->hosts > 1 ||
             (h->hosts == 0 && h->target->name))
        http_refuse(h, REFUSED_HOST);
    else
        http_refuse(
            h, policy_request(h->policy, h->target, http_method(h),
                              http_has_path(h) ? h->url.data + h->path.at : "/",
                              http_has_path(h) ? h->path.length : 1));
}

static void write_head(struct http *h) {
    buffer_addf(h->out, "%s %s%.*s HTTP/1.%d\r\n", http_method(h),
                http_has_path(h) ? "" : "/", (int)h->path.length,
                h->url.data + h->path.at, h->parser.http_minor);
    buffer_add(h->out, h->lines.data, h->lines.length);
    if (h->wanted)
        buffer_addf(h->out, "Accept-Encoding: identity\r\n");
    buffer_add(h->out, "\r\n", 2);
}

/* In the path none has a place, in the query it may have one. */
static int use_secrets_in_path(struct http *h) {
    if (!h->secrets)
        return 0;
    char *path = h->url.data + h->path.at;
    char *query = memchr(path, '?', h->path.length);
    size_t before = query ? (size_t)(query - path) : h->path.length;
    enum refusal why =
        secrets_insert(h->secrets, h->target, 0, NULL, path, before);
    if (why == REFUSED_NOT && query)
        why = secrets_insert(h->secrets, h->target, IN_QUERY, NULL, query,
                             h->path.length - before);
    return why == REFUSED_NOT ? 0 : http_refuse(h, why);
}

static int remember_request(struct http *h) {
    if (!h->watched)
        return 0;
    if (h->asked - h->answered == UNANSWERED_MAX)
        return http_refuse(h, REFUSED_LIMIT);
    h->was_head[h->asked++ % UNANSWERED_MAX] = h->parser.method == HTTP_HEAD;
    return 0;
}

bool http_answers_head(struct http *h) {
    return h->answered < h->asked &&
           h->was_head[h->answered++ % UNANSWERED_MAX];
}

void http_watch_answers(struct http *h) {
    h->watched = true;
}

static int on_head(http_parser *p) {
    struct http *h = p->data;
    if (end_header(h) < 0)
        return -1;
    check(h);
    if (h->why != REFUSED_NOT || use_secrets_in_path(h) < 0 ||
        remember_request(h) < 0)
        return -1;
    h->requests++;
    h->in_body = true;
    /* No other protocol follows: the server was not asked for one. */
    p->upgrade = 0;
    http_find_signer(h);
    if (!h->signer)
        write_head(h);
    else if (!h->digests)
        http_parser_pause(p, 1);
    return 0;
}

/* ---- the body ---- */

static void write_piece(struct http *h, const char *at, size_t length) {
    if (length == 0) /* would be the last chunk */
        return;
    if (h->signer) {
        if (!buffer_add(&h->body, at, length))
            http_refuse(h, REFUSED_LIMIT);
        return;
    }
    if (h->chunked)
        buffer_addf(h->out, "%zx\r\n", length);
    buffer_add(h->out, at, length);
    if (h->chunked)
        buffer_add(h->out, "\r\n", 2);
}

/* A placeholder may come in two pieces: its beginning waits for the rest. */
static int write_with_secrets(struct http *h, size_t partial) {
    struct buffer *b = &h->held;
    enum refusal why = secrets_insert(h->secrets, h->target, IN_BODY, NULL,
                                      b->data, b->length);
    if (why != REFUSED_NOT)
        return http_refuse(h, why);
    write_piece(h, b->data, b->length - partial);
    memmove(b->data, b->data + b->length - partial, partial);
    b->length = partial;
    return 0;
}

static int on_body(http_parser *p, const char *at, size_t length) {
    struct http *h = p->data;
    if (!h->secrets) {
        write_piece(h, at, length);
        return 0;
    }
    if (!buffer_add(&h->held, at, length))
        return http_refuse(h, REFUSED_LIMIT);
    return write_with_secrets(
        h, secrets_partial(h->secrets, h->held.data, h->held.length));
}

static void write_last_chunk(struct http *h) {
    buffer_add(h->out, "0\r\n\r\n", 5);
}

static int on_end(http_parser *p) {
    struct http *h = p->data;
    if (h->held.length > 0 && write_with_secrets(h, 0) < 0)
        return -1;
    h->in_body = false;
    if (h->signer) {
        h->is_whole = true;
        http_parser_pause(p, 1);
    } else if (h->chunked) {
        write_last_chunk(h);
    }
    return h->why == REFUSED_NOT ? 0 : -1;
}

/* ---- a connection ---- */

static const http_parser_settings settings = {
    .on_message_begin = begin,
    .on_url = on_url,
    .on_header_field = on_name,
    .on_header_value = on_value,
    .on_headers_complete = on_head,
    .on_body = on_body,
    .on_message_complete = on_end,
};

struct http *http_make(const struct policy *p, const struct target *t) {
    struct http *h = calloc(1, sizeof *h);
    if (!h)
        return NULL;
    http_parser_set_max_header_size(HTTP_HEAD_MAX);
    http_parser_init(&h->parser, HTTP_REQUEST);
    h->parser.data = h;
    h->policy = p;
    h->target = t;
    buffer_init(&h->url, HTTP_HEAD_MAX);
    buffer_init(&h->lines, LINES_MAX);
    buffer_init(&h->held, HELD_MAX);
    buffer_init(&h->body, HTTP_DIGESTED_MAX);
    buffer_init(&h->rest, REST_MAX);
    return h;
}

void http_use_secrets(struct http *h, struct secrets *s) {
    if (s->count == 0)
        return;
    h->secrets = s;
    h->wanted = secrets_want(s, h->target);
}

void http_free(struct http *h) {
    if (!h)
        return;
    wipe(&h->url);
    wipe(&h->lines);
    wipe(&h->held);
    wipe(&h->body);
    wipe(&h->rest);
    free(h);
}

/* Whether it begins like a request that a server might take although the parser
 * does not. */
static bool begins_with_method(const char *data, size_t length) {
    size_t at = 0, size = 0;
    while (at < length && (data[at] == '\r' || data[at] == '\n'))
        at++;
    while (at + size < length &&
           ((data[at + size] >= 'A' && data[at + size] <= 'Z') ||
            data[at + size] == '-'))
        size++;
    if (http_is(data + at, size, "PRI")) /* of HTTP/2 */
        return true;
    for (int i = 0; i <= HTTP_SOURCE; i++)
        if (http_is(data + at, size, http_method_str((enum http_method)i)))
            return true;
    return false;
}

static enum http_state explain(struct http *h) {
    bool first = h->requests == 0 && h->url.length == 0;
    if (h->why == REFUSED_NOT && first &&
        !begins_with_method(h->first, h->first_length))
        return HTTP_NOT;
    http_refuse(h, h->parser.http_errno == HPE_HEADER_OVERFLOW
                       ? REFUSED_LIMIT
                       : REFUSED_PROTOCOL);
    return HTTP_REFUSED;
}

/* Whether the parser has stopped for a request that is to be signed. */
static bool is_waiting(struct http *h, const char *data, size_t length) {
    if (h->parser.http_errno != HPE_PAUSED || h->why != REFUSED_NOT ||
        h->out->failed)
        return false;
    h->rest.length = 0;
    if (length == 0 || buffer_add(&h->rest, data, length))
        return true;
    http_refuse(h, REFUSED_LIMIT);
    return false;
}

static enum http_state parse(struct http *h, const char *data, size_t length,
                             struct buffer *out) {
    h->out = out;
    size_t before = out->length;
    size_t taken = http_parser_execute(&h->parser, &settings, data, length);
    if (h->parser.http_errno == HPE_OK && taken == length &&
        h->why == REFUSED_NOT && !out->failed)
        return HTTP_GOES_ON;
    if (is_waiting(h, data + taken, length - taken))
        return HTTP_SIGNS;
    if (out->failed)
        http_refuse(h, REFUSED_LIMIT);
    else
        out->length = before;
    return explain(h);
}

enum http_state http_take(struct http *h, const char *data, size_t length,
                          struct buffer *out) {
    size_t room = sizeof h->first - h->first_length;
    size_t kept = length < room ? length : room;
    memcpy(h->first + h->first_length, data, kept);
    h->first_length += kept;
    return parse(h, data, length, out);
}

/* The head may go, and of the body what has come with it. */
static void write_signed(struct http *h) {
    write_head(h);
    if (h->body.length > 0)
        write_piece(h, h->body.data, h->body.length);
    if (h->is_whole && h->chunked)
        write_last_chunk(h);
    wipe(&h->body);
    if (h->out->failed)
        http_refuse(h, REFUSED_LIMIT);
}

enum http_state http_sign(struct http *h, const json_t *answer,
                          struct buffer *out) {
    h->out = out;
    http_put_signature(h, answer);
    if (h->why == REFUSED_NOT && h->signer)
        return HTTP_SIGNS;
    if (h->why == REFUSED_NOT)
        write_signed(h);
    if (h->why != REFUSED_NOT)
        return HTTP_REFUSED;
    http_parser_pause(&h->parser, 0);
    if (h->rest.length == 0)
        return HTTP_GOES_ON;
    /* What follows may have to wait in its turn. */
    struct buffer rest = h->rest;
    buffer_init(&h->rest, REST_MAX);
    enum http_state state = parse(h, rest.data, rest.length, out);
    wipe(&rest);
    return state;
}

bool http_has_request(const struct http *h) {
    return h->requests > 0;
}

/* ---- refusing ---- */

struct http_refusal http_refusal(const struct http *h) {
    struct http_refusal r = {.why = h->why};
    if (h->url.length == 0)
        return r;
    r.method = http_method(h);
    if (h->path.length == 0)
        return r;
    r.path = h->url.data + h->path.at;
    const char *query = memchr(r.path, '?', h->path.length);
    r.path_length = query ? (size_t)(query - r.path) : h->path.length;
    return r;
}

static const char *sentence(enum refusal why) {
    switch (why) {
    case REFUSED_HOST:
        return "the request is for another host than the connection";
    case REFUSED_METHOD:
        return "no rule allows this method";
    case REFUSED_PATH:
        return "no rule allows this path";
    case REFUSED_SECRET:
        return "a secret's placeholder is where that secret does not go";
    case REFUSED_SIGN:
        return "the request could not be signed";
    case REFUSED_LIMIT:
        return "the request is too long";
    case REFUSED_PROTOCOL:
        return "the request is not HTTP/1.1 as it can be checked";
    default:
        return "no rule allows it";
    }
}

void http_write_refusal(const struct http *h, struct buffer *out) {
    bool malformed = h->why == REFUSED_PROTOCOL || h->why == REFUSED_LIMIT;
    const char *text = sentence(h->why);
    static const char before[] = "contree: this may not leave the sandbox: ";
    buffer_addf(out,
                "HTTP/1.1 %s\r\nContent-Type: text/plain\r\n"
                "Content-Length: %zu\r\nConnection: close\r\n\r\n%s%s\n",
                malformed ? "400 Bad Request" : "403 Forbidden",
                sizeof before - 1 + strlen(text) + 1, before, text);
}
