/* answer.h: the name server of a sandbox. It answers by itself: nothing that is
 * asked leaves. A name that may be connected to has an address that is made up;
 * no other name exists. */
#ifndef CONTREE_AIRLOCK_ANSWER_H
#define CONTREE_AIRLOCK_ANSWER_H

#include "airlock/dns.h"
#include "airlock/events.h"
#include "airlock/names.h"
#include "airlock/policy/policy.h"
#include "base/fault.h"
#include <uv.h>

enum {
    QUERIES_A_SECOND = 1000, /* more are dropped */
    DNS_STREAMS_MAX = 32     /* connections at once */
};

struct answerer {
    uv_loop_t *loop;
    const struct policy *policy;
    struct names *names;
    struct events *events;
    uint64_t second;  /* of uv_now() */
    unsigned queries; /* in this second */
    size_t streams;
    uv_poll_t udp, tcp;
};

/* The answer to a message. Returns its length; 0: none. */
size_t answer(struct answerer *a, const uint8_t *message, size_t length,
              uint8_t out[DNS_ANSWER_MAX]);
/* Answers what comes over these sockets. */
int answerer_start(struct answerer *a, int udp, int tcp, struct fault *f);

#endif
