/* squash.h: when layers are squashed. layer/squash.h does it. */
#ifndef CONTREE_OPERATION_SQUASH_H
#define CONTREE_OPERATION_SQUASH_H

#include "operation/internal.h"
#include "store/garbage.h"

/* Squash a chain if that is due. True: it takes `chain` over. */
bool operations_squash(struct operations *all, struct chain_layer *chain,
                       size_t count);
/* Squash a chain that is too long to be mounted, and begin `op` again
 * afterwards. Takes `chain` over, even on failure. */
int operation_await_squash(struct operation *op, struct chain_layer *chain,
                           size_t count, struct fault *f);
void operations_stop_squash(struct operations *all);
bool operations_pin_squash(const struct operations *all, struct gc_pins *p);

#endif
