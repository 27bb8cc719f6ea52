/* network.h: the network between a sandbox and the airlock.
 *
 *   the sandbox's namespace                a namespace of ours
 *   eth0 10.0.2.100 ─────────────────────── air0 10.0.2.2, 10.0.2.3
 *   default route over 10.0.2.2             every address is local
 *
 * In our namespace no process ever runs; it holds only the sockets below. What
 * finds none of them the kernel refuses at once: TCP with a reset, UDP with
 * "port unreachable". There is no IPv6. The addresses are those of
 * slirp4netns. */
#ifndef CONTREE_AIRLOCK_NETWORK_H
#define CONTREE_AIRLOCK_NETWORK_H

#include "airlock/policy/policy.h"
#include "base/fault.h"

enum { DNS_PORT = 53 };

struct network {
    int listeners[POLICY_PORTS]; /* TCP, non-blocking, for any address */
    size_t listener_count;
    int dns_udp; /* tells the address that was asked (IP_PKTINFO) */
    int dns_tcp;
    int strays; /* packets that no socket takes (stray.h); -1: not to be had */
};

/* Makes it, and connects the sandbox's namespace `net`. Blocks for some
 * milliseconds. The descriptors are the caller's; `net` stays open. */
int network_make(struct network *n, int net, const struct policy *p,
                 struct fault *f);

#endif
