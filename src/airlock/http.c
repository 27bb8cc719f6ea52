/* http.c: see http.h. */
#define _GNU_SOURCE
#include "airlock/http.h"
#include <http_parser.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { LINES_MAX = 2 * HTTP_HEAD_MAX, BEGINNING = 32, HELD_MAX = 1 << 20 };

/* A span of `lines`. */
struct span {
    size_t at, length;
};

struct http {
    http_parser parser;
    const struct policy *policy;
    const struct target *target;
    const struct secrets *secrets; /* NULL: none */
    bool wanted;                   /* one of them is for the target */
    struct buffer held; /* of a body: may be the beginning of a placeholder */
    struct buffer *out;
    struct buffer url, lines; /* of the head that is being read */
    struct span name, value;  /* of the header that is being read */
    bool in_header, in_value;
    bool in_body; /* the head is complete */
    bool chunked, wrong, other_host;
    unsigned hosts, lengths; /* headers of that name */
    char first[BEGINNING];   /* of the connection */
    size_t first_length;
    size_t requests;
    struct span path; /* of `url` */
    enum refusal why;
};

static int refuse(struct http *h, enum refusal why) {
    if (h->why == REFUSED_NOT)
        h->why = why;
    return -1;
}

/* ---- one header ---- */

static bool is(const char *text, size_t length, const char *word) {
    return strlen(word) == length && strncasecmp(text, word, length) == 0;
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

/* The next item of a list with commas; false at its end. */
static bool next_item(const char **p, const char *end, const char **item,
                      size_t *length) {
    while (*p < end && (is_blank(**p) || **p == ','))
        ++*p;
    if (*p == end)
        return false;
    const char *comma = memchr(*p, ',', (size_t)(end - *p));
    const char *stop = comma ? comma : end;
    *item = *p;
    *p = stop;
    while (stop > *item && is_blank(stop[-1]))
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
    return !colon || is(colon, length - size, port) || length == size + 1;
}

/* HTTP/2 in the clear may be asked for, and the server may not listen: so the
 * request goes on without that. Other protocols would not be seen. */
static bool is_h2c(const char *value, size_t length) {
    const char *p = value, *item;
    size_t size;
    while (next_item(&p, value + length, &item, &size))
        if (!is(item, size, "h2c"))
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
        if (!is(item, size, "upgrade") && !is(item, size, "http2-settings"))
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

/* http-parser takes a space in a name, as it is built for Debian. */
static bool is_token(const char *name, size_t length) {
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)name[i] <= ' ' || (unsigned char)name[i] > 0x7e ||
            strchr("()<>@,;:\\\"/[]?={}", name[i]))
            return false;
    return length > 0;
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
    return why == REFUSED_NOT ? 0 : refuse(h, why);
}

static int end_header(struct http *h) {
    if (!h->in_header)
        return 0;
    h->in_header = false;
    if (!h->in_value)
        buffer_add(&h->lines, ": ", 2);
    if (!buffer_add(&h->lines, "\r\n", 2))
        return refuse(h, REFUSED_LIMIT);
    const char *name = h->lines.data + h->name.at;
    size_t size = h->name.length, at = h->name.at;
    size_t value_at = at + size + 2, length = h->lines.length - 2 - value_at;
    const char *value = h->lines.data + value_at;
    while (length > 0 && is_blank(value[length - 1]))
        length--;
    if (!is_token(name, size) || has_control(value, length)) {
        h->wrong = true;
        return 0;
    }
    if (use_secret_in(h, IN_HEADERS, name, size, value_at, length) < 0)
        return -1;
    value = h->lines.data + value_at;
    if (h->wanted && is(name, size, "accept-encoding")) {
        h->lines.length = at;
    } else if (is(name, size, "host")) {
        h->hosts++;
        h->other_host = h->other_host || !names_target(h, value, length);
    } else if (is(name, size, "transfer-encoding")) {
        /* Any other is read differently by different servers. */
        h->wrong = h->wrong || h->chunked || !is(value, length, "chunked");
        h->chunked = true;
    } else if (is(name, size, "content-length")) {
        h->lengths++;
    } else if (is(name, size, "upgrade")) {
        if (!is_h2c(value, length))
            return refuse(h, REFUSED_PROTOCOL);
        h->lines.length = at;
    } else if (is(name, size, "http2-settings")) {
        h->lines.length = at;
    } else if (is(name, size, "connection")) {
        char *copy = strndup(value, length);
        if (!copy)
            return refuse(h, REFUSED_LIMIT);
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
    return buffer_add(&h->url, at, length) ? 0 : refuse(h, REFUSED_LIMIT);
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
    return buffer_add(&h->lines, at, length) ? 0 : refuse(h, REFUSED_LIMIT);
}

static int on_value(http_parser *p, const char *at, size_t length) {
    struct http *h = p->data;
    if (h->in_body)
        return 0;
    if (!h->in_value)
        buffer_add(&h->lines, ": ", 2);
    h->in_value = true;
    return buffer_add(&h->lines, at, length) ? 0 : refuse(h, REFUSED_LIMIT);
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
        return refuse(h, REFUSED_PROTOCOL);
    if (is_path || (h->url.length == 1 && url[0] == '*')) {
        h->path = (struct span){0, h->url.length};
        return 0;
    }
    if (http_parser_parse_url(url, h->url.length, 0, &u) != 0 ||
        u.field_set & 1 << UF_USERINFO || !(u.field_set & 1 << UF_HOST))
        return refuse(h, REFUSED_HOST);
    /* The host, and its port, up to the path. */
    size_t host = u.field_data[UF_HOST].off;
    size_t end = host + strcspn(url + host, "/?");
    if (!is(url + u.field_data[UF_SCHEMA].off, u.field_data[UF_SCHEMA].len,
            "http") ||
        !names_target(h, url + host, end - host))
        return refuse(h, REFUSED_HOST);
    h->path = (struct span){end, h->url.length - end};
    return 0;
}

static const char *method_of(const struct http *h) {
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

static bool has_path(const struct http *h) {
    return h->path.length > 0 && h->url.data[h->path.at] != '?';
}

static void check(struct http *h) {
    const http_parser *p = &h->parser;
    bool old = p->http_major == 1 && p->http_minor == 0;
    bool new = p->http_major == 1 && p->http_minor == 1;
    if (p->method == HTTP_CONNECT) {
        refuse(h, REFUSED_METHOD);
        return;
    }
    if (read_target(h) < 0)
        return;
    if ((!old && !new) || (old && h->chunked) || h->wrong || !is_framed(h))
        refuse(h, REFUSED_PROTOCOL);
    else if (h->other_host || h->hosts > 1 ||
             (h->hosts == 0 && h->target->name))
        refuse(h, REFUSED_HOST);
    else
        refuse(h, policy_request(h->policy, h->target, method_of(h),
                                 has_path(h) ? h->url.data + h->path.at : "/",
                                 has_path(h) ? h->path.length : 1));
}

static void write_head(struct http *h) {
    buffer_addf(h->out, "%s %s%.*s HTTP/1.%d\r\n", method_of(h),
                has_path(h) ? "" : "/", (int)h->path.length,
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
    return why == REFUSED_NOT ? 0 : refuse(h, why);
}

static int on_head(http_parser *p) {
    struct http *h = p->data;
    if (end_header(h) < 0)
        return -1;
    check(h);
    if (h->why != REFUSED_NOT || use_secrets_in_path(h) < 0)
        return -1;
    write_head(h);
    h->requests++;
    h->in_body = true;
    /* No other protocol follows: the server was not asked for one. */
    p->upgrade = 0;
    return 0;
}

/* ---- the body ---- */

static void write_piece(struct http *h, const char *at, size_t length) {
    if (length == 0) /* would be the last chunk */
        return;
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
        return refuse(h, why);
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
        return refuse(h, REFUSED_LIMIT);
    return write_with_secrets(
        h, secrets_partial(h->secrets, false, h->held.data, h->held.length));
}

static int on_end(http_parser *p) {
    struct http *h = p->data;
    if (h->held.length > 0 && write_with_secrets(h, 0) < 0)
        return -1;
    if (h->chunked)
        buffer_add(h->out, "0\r\n\r\n", 5);
    h->in_body = false;
    return 0;
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
    return h;
}

void http_use_secrets(struct http *h, const struct secrets *s) {
    if (s->count == 0)
        return;
    h->secrets = s;
    h->wanted = secrets_want(s, h->target);
}

/* It may have had secrets. */
static void wipe(struct buffer *b) {
    if (b->data)
        explicit_bzero(b->data, b->capacity);
    buffer_free(b);
}

void http_free(struct http *h) {
    if (!h)
        return;
    wipe(&h->url);
    wipe(&h->lines);
    wipe(&h->held);
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
    if (is(data + at, size, "PRI")) /* of HTTP/2 */
        return true;
    for (int i = 0; i <= HTTP_SOURCE; i++)
        if (is(data + at, size, http_method_str((enum http_method)i)))
            return true;
    return false;
}

static enum http_state explain(struct http *h) {
    bool first = h->requests == 0 && h->url.length == 0;
    if (h->why == REFUSED_NOT && first &&
        !begins_with_method(h->first, h->first_length))
        return HTTP_NOT;
    refuse(h, h->parser.http_errno == HPE_HEADER_OVERFLOW ? REFUSED_LIMIT
                                                          : REFUSED_PROTOCOL);
    return HTTP_REFUSED;
}

enum http_state http_take(struct http *h, const char *data, size_t length,
                          struct buffer *out) {
    size_t room = sizeof h->first - h->first_length;
    size_t kept = length < room ? length : room;
    memcpy(h->first + h->first_length, data, kept);
    h->first_length += kept;
    h->out = out;
    size_t before = out->length;
    size_t taken = http_parser_execute(&h->parser, &settings, data, length);
    if (h->parser.http_errno == HPE_OK && taken == length &&
        h->why == REFUSED_NOT && !out->failed)
        return HTTP_GOES_ON;
    if (out->failed)
        refuse(h, REFUSED_LIMIT);
    else
        out->length = before;
    return explain(h);
}

bool http_has_request(const struct http *h) {
    return h->requests > 0;
}

/* ---- refusing ---- */

struct http_refusal http_refusal(const struct http *h) {
    struct http_refusal r = {.why = h->why};
    if (h->url.length == 0)
        return r;
    r.method = method_of(h);
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
    case REFUSED_LIMIT:
        return "the head of the request is too long";
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
