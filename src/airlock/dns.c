/* dns.c: see dns.h. */
#define _GNU_SOURCE
#include "airlock/dns.h"
#include <resolv.h>
#include <stdio.h>
#include <string.h>

enum { FLAG_ANSWER = 0x8000, FLAG_RECURSE = 0x0100, FLAG_RECURSED = 0x0080 };
enum { OPERATION_SHIFT = 11, OPERATION_MASK = 15 };

bool dns_read(const uint8_t *message, size_t length, struct dns_question *q,
              int *code) {
    ns_msg m;
    ns_rr rr;
    if (length < NS_HFIXEDSZ || length > NS_MAXMSG)
        return false;
    *q = (struct dns_question){.id = (uint16_t)ns_get16(message),
                               .flags = (uint16_t)ns_get16(message + 2)};
    if (q->flags & FLAG_ANSWER)
        return false;
    *code = ns_r_formerr;
    if ((q->flags >> OPERATION_SHIFT & OPERATION_MASK) != ns_o_query) {
        *code = ns_r_notimpl;
        return true;
    }
    if (ns_initparse(message, (int)length, &m) < 0 ||
        ns_msg_count(m, ns_s_qd) != 1 || ns_parserr(&m, ns_s_qd, 0, &rr) < 0)
        return true;
    *code = ns_r_noerror;
    snprintf(q->name, sizeof q->name, "%s", ns_rr_name(rr));
    q->type = ns_rr_type(rr);
    q->class = ns_rr_class(rr);
    return true;
}

/* The question, as it came. Returns its length; 0: there is none to repeat. */
static size_t write_question(const struct dns_question *q, uint8_t *out,
                             size_t size) {
    int length = ns_name_compress(q->name, out, size, NULL, NULL);
    if (length < 0 || (size_t)length + NS_QFIXEDSZ > size)
        return 0;
    ns_put16((unsigned)q->type, out + length);
    ns_put16((unsigned)q->class, out + length + 2);
    return (size_t)length + NS_QFIXEDSZ;
}

static size_t write_address(const struct address *a, uint8_t *out) {
    const uint16_t name = 0xc000 | NS_HFIXEDSZ; /* that of the question */
    ns_put16(name, out);
    ns_put16(ns_t_a, out + 2);
    ns_put16(ns_c_in, out + 4);
    ns_put32(DNS_TTL, out + 6);
    ns_put16(NS_INADDRSZ, out + 10);
    memcpy(out + 12, a->bytes + 12, NS_INADDRSZ);
    return 12 + NS_INADDRSZ;
}

size_t dns_write(const struct dns_question *q, int code,
                 const struct address *address, uint8_t out[DNS_ANSWER_MAX]) {
    enum { ROOM = DNS_ANSWER_MAX - NS_HFIXEDSZ - 32 };
    unsigned kept =
        q->flags & (FLAG_RECURSE | OPERATION_MASK << OPERATION_SHIFT);
    size_t length = NS_HFIXEDSZ, question = 0;
    memset(out, 0, NS_HFIXEDSZ);
    ns_put16(q->id, out);
    ns_put16(FLAG_ANSWER | FLAG_RECURSED | kept | (unsigned)code, out + 2);
    if (q->name[0])
        question = write_question(q, out + length, ROOM);
    ns_put16(question > 0, out + 4);
    length += question;
    if (address && question > 0) {
        ns_put16(1, out + 6);
        length += write_address(address, out + length);
    }
    return length;
}
