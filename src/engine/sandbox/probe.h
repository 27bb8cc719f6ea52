/* probe.h: makes a sandbox of an empty image, to know whether this machine can
 * make any. */
#ifndef CONTREE_SANDBOX_PROBE_H
#define CONTREE_SANDBOX_PROBE_H

#include "base/fault.h"
#include "sandbox/runtime.h"

enum { ISOLATION_SIZE = 384 };

/* Makes it in the directory `name` of `dir`, which is made and deleted. Fills
 * `isolation` with launcher_isolation(). With `rules` (NULL: without) it has an
 * airlock. 0, or -1 when no such sandbox can be made.
 * Call it in the user namespace of the engine, before any thread exists. */
int probe_run(int dir, const char *name, struct id_range ids,
              const struct runtime *runtime, const char *rules,
              char isolation[ISOLATION_SIZE], struct fault *f);

#endif
