/* run.h: a run in its sandbox. */
#ifndef CONTREE_OPERATION_RUN_H
#define CONTREE_OPERATION_RUN_H

#include "operation/internal.h"

extern const struct operation_kind run_kind;

/* Starts its sandbox. 0 also when it has to wait for its layers to be
 * squashed. */
int run_begin(struct operation *op, struct fault *f);

#endif
