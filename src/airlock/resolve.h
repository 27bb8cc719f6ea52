/* resolve.h: the addresses of names, as the host resolves them. */
#ifndef CONTREE_AIRLOCK_RESOLVE_H
#define CONTREE_AIRLOCK_RESOLVE_H

#include "airlock/policy/address.h"
#include "base/fault.h"
#include <uv.h>

struct resolver;
struct resolution;

enum {
    ADDRESSES_MAX = 16, /* of one name; more are ignored */
    RESOLVE_KEPT_MS = 30000,
    RESOLVE_FAILED_KEPT_MS = 3000
};

struct resolver *resolver_open(uv_loop_t *loop, struct fault *f);

/* Calls back once with the addresses, best first; count 0: it has none. At once
 * when they are known, else from the loop. Nothing is called after
 * resolution_cancel(). NULL: it has called back already. */
struct resolution *resolve(struct resolver *r, const char *name,
                           void (*found)(void *arg, const struct address *list,
                                         size_t count),
                           void *arg);
void resolution_cancel(struct resolution *w);

#endif
