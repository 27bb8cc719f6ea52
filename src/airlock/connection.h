/* connection.h: the TCP connections of a sandbox: each is decided, dialled, and
 * then relayed. */
#ifndef CONTREE_AIRLOCK_CONNECTION_H
#define CONTREE_AIRLOCK_CONNECTION_H

#include "airlock/events.h"
#include "airlock/farewell.h"
#include "airlock/intercept.h"
#include "airlock/names.h"
#include "airlock/policy/policy.h"
#include "airlock/resolve.h"
#include "base/relay.h"
#include <uv.h>

enum {
    CONNECTIONS_MAX = 1024,
    UNDECIDED_MAX = 128,  /* more have to wait before they are accepted */
    DECIDED_IN_MS = 10000 /* or refused */
};

struct connection;

/* What all connections share. */
struct traffic {
    uv_loop_t *loop;
    const struct policy *policy;
    struct names *names;
    struct resolver *resolver;
    struct events *events;
    const struct interceptor *interceptor;
    bool trace;
    struct pipes pipes;
    struct farewells farewells;
    size_t most; /* connections at once */
    struct connection *list;
    size_t count, undecided;
    /* Called when there is room for an undecided one again. */
    void (*room)(void *arg);
    void *arg;
};

/* Takes over a socket of the sandbox's that was just accepted. */
void connection_take(struct traffic *t, int client);

/* Ends all, soon; their clients see a reset. */
void connections_reset(struct traffic *t);

#endif
