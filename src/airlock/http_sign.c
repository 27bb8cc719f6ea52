/* http_sign.c: requests that wait until they are signed; see http.h. */
#define _GNU_SOURCE
#include "airlock/http.h"
#include "airlock/http_internal.h"
#include "airlock/policy/signature.h"
#include "base/digest.h"
#include "base/json.h"
#include <string.h>

void http_find_signer(struct http *h) {
    const struct secret *each;
    size_t at = h->signers = 0;
    h->digests = h->is_whole = false;
    h->signer =
        h->secrets ? secrets_signer(h->secrets, h->target, &h->signers) : NULL;
    while (h->signer && (each = secrets_signer(h->secrets, h->target, &at)))
        h->digests = h->digests || each->digests;
}

const char *http_signer(const struct http *h) {
    return h->signer->name;
}

static void write_headers(const struct http *h, struct buffer *out) {
    struct span name, value;
    json_open(out, "headers", '[');
    for (size_t at = 0; http_next_line(&h->lines, &at, &name, &value);) {
        json_open(out, NULL, '[');
        json_add_text(out, NULL, h->lines.data + name.at, name.length);
        json_add_text(out, NULL, h->lines.data + value.at, value.length);
        json_close(out, ']');
    }
    json_close(out, ']');
}

static void write_path(const struct http *h, struct buffer *out) {
    const char *path = h->url.data + h->path.at;
    size_t length = h->path.length;
    const char *query = length ? memchr(path, '?', length) : NULL;
    size_t before = query ? (size_t)(query - path) : length;
    json_add_text(out, "path", http_has_path(h) ? path : "/",
                  http_has_path(h) ? before : 1);
    if (query)
        json_add_text(out, "query", query + 1, length - before - 1);
}

bool http_write_unsigned(const struct http *h, const char *scheme,
                         struct buffer *out) {
    char digest[DIGEST_SIZE];
    if (!json_is_utf8(h->url.data, h->url.length) ||
        !json_is_utf8(h->lines.data, h->lines.length))
        return false;
    json_open(out, "request", '{');
    json_add_string(out, "method", http_method(h));
    json_add_string(out, "scheme", scheme);
    json_add_string(out, "host", h->target->name);
    json_add_int(out, "port", h->target->port);
    write_path(h, out);
    write_headers(h, out);
    if (h->signer->digests) {
        digest_of(h->body.data ? h->body.data : "", h->body.length, digest);
        json_add_string(out, "sha256", digest + strlen("sha256:"));
    }
    json_close(out, '}');
    return !out->failed;
}

/* Takes all headers of this name away. */
static void remove_header(struct http *h, const char *header) {
    struct buffer *lines = &h->lines;
    struct span name, value;
    size_t at = 0, from = 0;
    while (http_next_line(lines, &at, &name, &value)) {
        if (http_is(lines->data + name.at, name.length, header)) {
            memmove(lines->data + from, lines->data + at, lines->length - at);
            lines->length -= at - from;
            at = from;
        }
        from = at;
    }
}

static void put_headers(struct http *h, const json_t *headers) {
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)headers, name, value) {
        const char *text = json_string_value(value);
        remove_header(h, name);
        if (text && !buffer_addf(&h->lines, "%s: %s\r\n", name, text))
            http_refuse(h, REFUSED_LIMIT);
    }
}

void http_put_signature(struct http *h, const json_t *answer) {
    struct fault f;
    if (!answer || signature_check(answer, &f) < 0)
        http_refuse(h, REFUSED_SIGN);
    else
        put_headers(h, json_object_get(answer, "headers"));
    if (h->why == REFUSED_NOT)
        h->signer = secrets_signer(h->secrets, h->target, &h->signers);
}
