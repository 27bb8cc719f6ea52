/* http_internal.h: what http.c and http_sign.c share; nobody else includes it.
 */
#ifndef CONTREE_AIRLOCK_HTTP_INTERNAL_H
#define CONTREE_AIRLOCK_HTTP_INTERNAL_H

#include "airlock/http_lines.h"
#include "airlock/policy/policy.h"
#include "airlock/policy/secrets.h"
#include "base/buffer.h"
#include <http_parser.h>

enum { BEGINNING = 32, UNANSWERED_MAX = 256 /* requests of a connection */ };

struct http {
    http_parser parser;
    const struct policy *policy;
    const struct target *target;
    struct secrets *secrets; /* NULL: none */
    bool wanted;             /* one of them is for the target */
    struct buffer held; /* of a body: may be the beginning of a placeholder */
    const struct secret *signer; /* the request waits for it, or will */
    size_t signers;              /* of the secrets: those behind are next */
    bool digests;                /* one of them wants a digest of the body */
    bool is_whole;               /* the body has come, too */
    struct buffer body;          /* that waits with its head */
    struct buffer rest;          /* of what was taken: it comes afterwards */
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
    bool watched;                  /* the next three are used */
    size_t asked, answered;        /* requests */
    bool was_head[UNANSWERED_MAX]; /* of those between, in a ring */
    struct span path;              /* of `url` */
    enum refusal why;
};

/* Refuses the request, if it was not refused yet. -1. */
int http_refuse(struct http *h, enum refusal why);
/* Whether the URL names a path. */
bool http_has_path(const struct http *h);
const char *http_method(const struct http *h);
/* http_sign.c: */

/* Finds who signs the request whose head has come. */
void http_find_signer(struct http *h);
/* Puts the headers of an answer into the head, or refuses the request. Then
 * h->signer is who signs it next, or NULL. */
void http_put_signature(struct http *h, const json_t *answer);

#endif
