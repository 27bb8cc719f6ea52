/* squash.h: when layers are squashed (layer/squash.h). */
#ifndef CONTREE_OPERATION_SQUASH_H
#define CONTREE_OPERATION_SQUASH_H

#include "operation/internal.h"
#include "store/garbage.h"

/* Squashes a chain if it is due; true: takes it over. */
bool operations_squash(struct operations *all, struct chain_layer *chain,
                       size_t count);
/* Has it squashed, and begins `op` again; takes `chain` over. */
int operation_await_squash(struct operation *op, struct chain_layer *chain,
                           size_t count, struct fault *f);
void operations_stop_squash(struct operations *all);
bool operations_pin_squash(const struct operations *all, struct gc_pins *p);

#endif
