/* end.h: how a run ends. */
#ifndef CONTREE_OPERATION_END_H
#define CONTREE_OPERATION_END_H

#include "operation/internal.h"
#include "sandbox/sandbox.h"

/* Read what the pipes of its processes hold, until the turn is long. True when
 * all of it is read. */
bool operation_drain(struct operation *op);
/* Write the last events, then settle or save the run. Call it when all output
 * is in the log. */
void operation_conclude(struct operation *op);
/* The same for a run without a sandbox. */
void operation_conclude_unstarted(struct operation *op);
/* End a run because of `why`; does nothing if it has a fault already. A sandbox
 * is killed, and the run concludes when that is gone. `limit` (NULL: none) and
 * `value` are those of operation_hit_limit(). */
void operation_fail(struct operation *op, const struct fault *why,
                    const char *limit, int64_t value);

#endif
