/* end.h: how a run ends. */
#ifndef CONTREE_OPERATION_END_H
#define CONTREE_OPERATION_END_H

#include "operation/internal.h"
#include "sandbox/sandbox.h"

/* Takes what is in the pipes of its processes now, as far as others need not
 * wait; true when that is all. */
bool operation_drain(struct operation *op);
/* Tells the end of its processes, and settles or saves it. All its output is in
 * the log. */
void operation_conclude(struct operation *op);
/* The same before it has a sandbox. */
void operation_conclude_unstarted(struct operation *op);
/* Ends it because of `why`, which becomes its fault unless it has one: a
 * sandbox is killed, and the rest follows. `limit` (NULL: none) and `value` as
 * in operation_hit_limit(). */
void operation_fail(struct operation *op, const struct fault *why,
                    const char *limit, int64_t value);

#endif
