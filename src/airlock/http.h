/* http.h: the requests of one HTTP/1.1 connection: each is read, checked, and
 * written anew, so that the server reads the same requests. Parsed by
 * http-parser. */
#ifndef CONTREE_AIRLOCK_HTTP_H
#define CONTREE_AIRLOCK_HTTP_H

#include "airlock/policy/policy.h"
#include "airlock/policy/secrets.h"
#include "base/buffer.h"

enum {
    HTTP_HEAD_MAX = 64 << 10,
    HTTP_DIGESTED_MAX = 256 << 10 /* of a body that is held for its digest */
};

struct http;

enum http_state {
    HTTP_GOES_ON,
    HTTP_SIGNS,  /* a request has to be signed first: http_sign() */
    HTTP_NOT,    /* it is another protocol, from its first bytes on */
    HTTP_REFUSED /* http_refusal() says why; nothing more may be taken */
};

/* The requests of a connection to `t`, which has to live as long. NULL: out of
 * memory. */
struct http *http_make(const struct policy *p, const struct target *t);
void http_free(struct http *h);
/* Puts secrets into the requests, which have to live as long. When one is for
 * the target the server is asked for answers that are not compressed, so that
 * its value would be found in them. */
void http_use_secrets(struct http *h, struct secrets *s);
/* Keeps in mind which requests were HEAD, for http_answers_head(). */
void http_watch_answers(struct http *h);
/* Whether the oldest request that was not asked for so far was HEAD; false
 * without one. */
bool http_answers_head(struct http *h);
/* Takes what the client has sent, and adds to `out` what to send to the server.
 * A request is sent from the end of its head on. Only HTTP_GOES_ON and
 * HTTP_SIGNS add. */
enum http_state http_take(struct http *h, const char *data, size_t length,
                          struct buffer *out);
/* After HTTP_SIGNS: which of the secrets the request is to be signed with, and
 * the request as an object of JSON. False: it cannot be told. */
const char *http_signer(const struct http *h);
bool http_write_unsigned(const struct http *h, const char *scheme,
                         struct buffer *out);
/* After HTTP_SIGNS: takes the headers of an answer (signature.h), and goes on
 * with what was taken; NULL refuses the request. The result is that of
 * http_take(). */
enum http_state http_sign(struct http *h, const json_t *answer,
                          struct buffer *out);
/* Whether the first request was allowed. */
bool http_has_request(const struct http *h);

/* The request that was refused. */
struct http_refusal {
    enum refusal why;
    const char *method; /* NULL: it has none that is known */
    const char *path;   /* without the query; may be NULL */
    size_t path_length;
};
struct http_refusal http_refusal(const struct http *h);
/* Adds the response that tells it to the client. */
void http_write_refusal(const struct http *h, struct buffer *out);

#endif
