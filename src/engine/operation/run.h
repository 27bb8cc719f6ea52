/* run.h: a run in its sandbox. */
#ifndef CONTREE_OPERATION_RUN_H
#define CONTREE_OPERATION_RUN_H

#include "operation/internal.h"

extern const struct operation_kind run_kind;

/* Start its sandbox. Returns 0 also if it must wait for its layers to be
 * squashed. */
int run_begin(struct operation *op, struct fault *f);

#endif
