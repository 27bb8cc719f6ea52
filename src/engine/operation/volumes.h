/* volumes.h: which volumes runs use, so that none is removed under a run. Loop
 * thread only. */
#ifndef CONTREE_OPERATION_VOLUMES_H
#define CONTREE_OPERATION_VOLUMES_H

#include "operation/engine.h"
#include <stddef.h>

struct volume_use;

/* A run uses the volume from now on, whether it exists or is still to be made.
 * 409 while it is being removed. NULL on failure. */
struct volume_use *volume_hold(struct engine *e, const char *name,
                               struct fault *f);
/* One run less; NULL is fine. */
void volume_release(struct volume_use *use);
/* How many runs use it, or wait to. */
size_t volume_runs(const struct engine *e, const char *name);

/* Nobody may use it until volume_end_removal(). 409 while it is used or being
 * removed. */
struct volume_use *volume_begin_removal(struct engine *e, const char *name,
                                        struct fault *f);
void volume_end_removal(struct volume_use *use);

#endif
