/* network.h: the way out of a sandbox that asked for networking: slirp4netns,
 * which needs no privileges, in a process of its own. The sandbox reaches what
 * the engine's user can reach but not the host's loopback interface; nobody
 * reaches the sandbox. */
#ifndef CONTREE_SANDBOX_NETWORK_H
#define CONTREE_SANDBOX_NETWORK_H

#include "base/fault.h"
#include <uv.h>

struct network;

/* Connects the network namespace `net`, which it takes over. `connected` is
 * called once from the loop, with NULL or why it did not work, unless
 * network_stop comes first. 503 when slirp4netns is not installed. */
struct network *network_start(uv_loop_t *loop, int net,
                              void (*connected)(void *arg,
                                                const struct fault *why),
                              void *arg, struct fault *f);
/* Disconnects; may be called inside `connected`. */
void network_stop(struct network *n);

#endif
