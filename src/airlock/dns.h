/* dns.h: messages of DNS: reading a question, writing the answer. Parsed with
 * glibc's <arpa/nameser.h>. */
#ifndef CONTREE_AIRLOCK_DNS_H
#define CONTREE_AIRLOCK_DNS_H

#include "airlock/policy/address.h"
#include <arpa/nameser.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DNS_ANSWER_MAX = 512, DNS_TTL = 60 };

struct dns_question {
    char name[NS_MAXDNAME]; /* as it was asked, dots and escapes as usual */
    int type, class;
    uint16_t id, flags;
};

/* False for what gets no answer: no question at all, or an answer. A message
 * with several questions, or another operation than a query, is refused with
 * *code ns_r_formerr or ns_r_notimpl; else it is ns_r_noerror. */
bool dns_read(const uint8_t *message, size_t length, struct dns_question *q,
              int *code);
/* Writes an answer with this code, and this IPv4 address unless it is NULL.
 * Returns its length. */
size_t dns_write(const struct dns_question *q, int code,
                 const struct address *address, uint8_t out[DNS_ANSWER_MAX]);

#endif
