/* network.h: the network of a sandbox that asked for one: slirp4netns, which
 * needs no privileges, in a process of its own. The sandbox reaches what the
 * engine's user can reach, but not the host's loopback interface. Nothing
 * reaches the sandbox. */
#ifndef CONTREE_SANDBOX_NETWORK_H
#define CONTREE_SANDBOX_NETWORK_H

#include "base/fault.h"
#include <uv.h>

struct network;

/* Connects the network namespace `net`, and takes that descriptor over. Calls
 * `connected` once from the loop, with NULL or the failure, unless
 * network_stop() comes first. 503 when slirp4netns is not installed. */
struct network *network_start(uv_loop_t *loop, int net,
                              void (*connected)(void *arg,
                                                const struct fault *why),
                              void *arg, struct fault *f);
/* Disconnects; may be called inside `connected`. */
void network_stop(struct network *n);

#endif
