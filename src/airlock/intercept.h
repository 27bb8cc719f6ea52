/* intercept.h: a connection of HTTP/1.1 whose requests are read and changed on
 * their way: over TLS, which ends here on both sides, or plain. In what the
 * server answers the values of secrets become placeholders again. */
#ifndef CONTREE_AIRLOCK_INTERCEPT_H
#define CONTREE_AIRLOCK_INTERCEPT_H

#include "airlock/authority.h"
#include "airlock/events.h"
#include "airlock/policy/policy.h"
#include "airlock/policy/secrets.h"
#include "airlock/signing.h"
#include <uv.h>

enum { HANDSHAKES_MS = 10000 };

/* What all interceptions share. */
struct interceptor {
    uv_loop_t *loop;
    const struct policy *policy;
    struct secrets *secrets;
    struct events *events;
    struct signing *signing;
    struct authority *authority;
    SSL_CTX *verifier; /* channel_verifier() */
};

struct interception {
    const struct target *target; /* copied */
    int client, upstream;        /* taken over */
    bool tls;
    const void *said; /* by the client so far; copied */
    size_t said_length;
};
/* Calls `ended` when the connection is closed, also after a failure to begin.
 */
void intercept(const struct interceptor *shared, const struct interception *i,
               void (*ended)(void *arg), void *arg);

#endif
