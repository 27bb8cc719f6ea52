/* link.h: network interfaces, addresses and routes of the calling thread's
 * network namespace, over rtnetlink. Only for the set-up, before the loop. */
#ifndef CONTREE_AIRLOCK_LINK_H
#define CONTREE_AIRLOCK_LINK_H

#include "base/fault.h"
#include <stdbool.h>

struct link;

struct link *link_open(struct fault *f);
void link_close(struct link *l);

/* A pair of interfaces that are one another's other end: `name` here, `peer` in
 * the namespace `net`. */
int link_make_pair(struct link *l, const char *name, const char *peer, int net,
                   struct fault *f);
/* Without an IPv6 address of its own. */
int link_up(struct link *l, const char *name, struct fault *f);
/* Wait until packets can leave by our end of the pair, once both ends are up.
 * What is sent before is lost, and sent again a second later. The thread may be
 * in another namespace by now. */
int link_wait_for_ours(struct link *l, struct fault *f);
int link_add_address(struct link *l, const char *name, const char *address,
                     unsigned prefix, struct fault *f);

struct route {
    const char *to; /* NULL: everything */
    unsigned prefix;
    const char *gateway; /* NULL: what is on the link */
    const char *link;
    const char *source; /* NULL: the kernel chooses */
    bool local;         /* what is for there is for us */
    bool first;         /* in the table that is looked at first */
};
int link_add_route(struct link *l, const struct route *r, struct fault *f);

#endif
