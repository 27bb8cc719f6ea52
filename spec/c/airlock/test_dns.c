/* test_dns.c: messages of DNS. */
#define _GNU_SOURCE
#include "airlock/dns.h"
#include "airlock/names.h"
#include "check.h"
#include "seed.h"
#include <resolv.h>
#include <stdlib.h>

static size_t ask(const char *name, int type, uint8_t *out, size_t size) {
    int length =
        res_mkquery(ns_o_query, name, ns_c_in, type, NULL, 0, NULL, out, size);
    return length < 0 ? 0 : (size_t)length;
}

static void test_address(void) {
    uint8_t query[512], reply[DNS_ANSWER_MAX];
    struct dns_question q;
    struct address a;
    ns_msg m;
    ns_rr rr;
    int code;
    size_t length = ask("WwW.Example.org", ns_t_a, query, sizeof query);
    CHECK(dns_read(query, length, &q, &code));
    CHECK_NUMBER(code, ns_r_noerror);
    CHECK_STRING(q.name, "WwW.Example.org");
    CHECK_NUMBER(q.type, ns_t_a);
    CHECK(address_parse("198.18.0.7", &a));
    length = dns_write(&q, ns_r_noerror, &a, reply);
    CHECK_NUMBER(ns_initparse(reply, (int)length, &m), 0);
    CHECK_NUMBER(ns_msg_id(m), ns_get16(query));
    CHECK_NUMBER(ns_msg_getflag(m, ns_f_qr), 1);
    CHECK_NUMBER(ns_msg_getflag(m, ns_f_ra), 1);
    CHECK_NUMBER(ns_msg_count(m, ns_s_an), 1);
    CHECK_NUMBER(ns_parserr(&m, ns_s_qd, 0, &rr), 0);
    CHECK_STRING(ns_rr_name(rr), "WwW.Example.org");
    CHECK(ns_rr_type(rr) == ns_t_a && ns_rr_class(rr) == ns_c_in);
    CHECK_NUMBER(ns_parserr(&m, ns_s_an, 0, &rr), 0);
    CHECK_STRING(ns_rr_name(rr), "WwW.Example.org");
    CHECK(ns_rr_type(rr) == ns_t_a && ns_rr_class(rr) == ns_c_in);
    CHECK_NUMBER(ns_rr_ttl(rr), DNS_TTL);
    CHECK(memcmp(ns_rr_rdata(rr), "\306\022\0\007", 4) == 0);
}

static void test_no_answer(void) {
    uint8_t query[512], reply[DNS_ANSWER_MAX];
    struct dns_question q;
    ns_msg m;
    int code;
    size_t length = ask("x.example", ns_t_aaaa, query, sizeof query);
    CHECK(dns_read(query, length, &q, &code));
    length = dns_write(&q, ns_r_nxdomain, NULL, reply);
    CHECK_NUMBER(ns_initparse(reply, (int)length, &m), 0);
    CHECK_NUMBER(ns_msg_getflag(m, ns_f_rcode), ns_r_nxdomain);
    CHECK_NUMBER(ns_msg_count(m, ns_s_an), 0);
    CHECK(!dns_read(reply, length, &q, &code)); /* an answer */
    CHECK(!dns_read(query, NS_HFIXEDSZ - 1, &q, &code));
}

static void test_malformed(void) {
    uint8_t query[512], reply[DNS_ANSWER_MAX];
    struct dns_question q;
    int code;
    size_t length = ask("x.example", ns_t_a, query, sizeof query);
    for (size_t cut = NS_HFIXEDSZ; cut < length; cut++) {
        CHECK(dns_read(query, cut, &q, &code));
        CHECK_NUMBER(code, ns_r_formerr);
        CHECK_NUMBER(dns_write(&q, code, NULL, reply), NS_HFIXEDSZ);
    }
    query[5] = 2; /* questions */
    CHECK(dns_read(query, length, &q, &code) && code == ns_r_formerr);
    query[5] = 1;
    query[2] |= 5 << 3; /* UPDATE */
    CHECK(dns_read(query, length, &q, &code) && code == ns_r_notimpl);
    query[2] &= (uint8_t) ~(5 << 3);
    query[12] = 0xc0; /* a name that points to itself */
    query[13] = 12;
    CHECK(dns_read(query, length, &q, &code) && code == ns_r_formerr);
}

/* Whatever is asked, the answer is a message, and short. */
static void test_random(void) {
    uint8_t query[512], reply[DNS_ANSWER_MAX];
    struct dns_question q;
    struct address a;
    int code, answered = 0;
    seed_begin();
    CHECK(address_parse("198.18.0.7", &a));
    for (int i = 0; i < seed_count(20000); i++) {
        size_t length = ask("some.name.example", ns_t_a, query, sizeof query);
        for (int k = seed_below(4); k >= 0; k--)
            query[seed_below((int)length)] = (uint8_t)seed_below(256);
        if (!dns_read(query, length, &q, &code))
            continue;
        ns_msg m;
        size_t size = dns_write(&q, code, &a, reply);
        CHECK_NUMBER(ns_initparse(reply, (int)size, &m), 0);
        answered++;
    }
    CHECK(answered > 0);
}

static void test_names(void) {
    struct names *n = names_make();
    struct address a, b;
    char name[32], text[ADDRESS_TEXT];
    CHECK(names_address(n, "a.example", &a));
    CHECK_STRING(address_write(&a, text), "198.18.0.1");
    CHECK(names_address(n, "b.example", &b));
    CHECK_STRING(names_find(n, &b), "b.example");
    CHECK(names_address(n, "a.example", &b));
    CHECK(memcmp(&a, &b, sizeof a) == 0);
    for (int i = 2; i < NAMES_MAX; i++) {
        snprintf(name, sizeof name, "n%d.example", i);
        CHECK(names_address(n, name, &a));
        CHECK_STRING(names_find(n, &a), name);
    }
    CHECK(!names_address(n, "more.example", &a));
    CHECK(names_address(n, "n7.example", &a));
    CHECK(address_parse("198.19.0.1", &a) && !names_find(n, &a));
    CHECK(address_parse("198.17.255.255", &a) && !names_find(n, &a));
    CHECK(address_parse("::1", &a) && !names_find(n, &a));
    names_free(n);
}

int main(void) {
    RUN(test_address, "a question with an answer");
    RUN(test_no_answer, "a name that does not exist");
    RUN(test_malformed, "malformed messages are refused");
    RUN(test_random, "random messages do no harm");
    RUN(test_names, "each name has an address of its own");
    return CHECK_DONE();
}
