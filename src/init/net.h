/* net.h: network namespaces with a loopback interface and nothing else.
 *
 * A namespace costs more than all other namespaces of a sandbox together. So
 * one that looks as it did when it was new is given to the next sandbox: all
 * its processes and sockets are gone, and none of them had a right to configure
 * it. It could remember only counters (of packets and of failed attempts) and
 * labels of IPv6 flows that outlive their socket. The namespaces belong to the
 * forkserver's user namespace, not to the sandbox's. */
#ifndef CONTREE_INIT_NET_H
#define CONTREE_INIT_NET_H

#include "init/failure.h"

#include <stdbool.h>
#include <stdint.h>

/* Makes and enters a namespace in which these group ids may ping. The caller
 * owns the descriptor. `when_new` becomes its fingerprint. */
int net_make(unsigned first_gid, unsigned last_gid, uint64_t *when_new,
             struct failure *f);
int net_enter(int net, struct failure *f);
/* Enters it; true if it looks as if nothing had ever happened in it. */
bool net_is_unused(int net, uint64_t when_new);

#endif
