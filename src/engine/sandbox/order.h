/* order.h: giving an order to the init of a sandbox. */
#ifndef CONTREE_SANDBOX_ORDER_H
#define CONTREE_SANDBOX_ORDER_H

#include "base/fault.h"
#include "sandbox/message.h"

struct sandbox;

/* Queues an order with `count` sets of strings; orders are carried out in turn,
 * and wait until the sandbox has its cell and its network. Takes the
 * descriptors over, also on failure. 409 when the sandbox has ended. */
int sandbox_order(struct sandbox *s, struct order *o,
                  const struct strings *sets, size_t count, const int *fds,
                  int fd_count, struct fault *f);

#endif
