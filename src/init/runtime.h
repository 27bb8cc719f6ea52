/* runtime.h: the other way of a cell to become a sandbox. It mounts the image,
 * as any cell does, and has an OCI runtime (crun, runc) make the container of
 * it, inside the cell's own namespaces. So the runtime has no privilege on the
 * host, can make no control group, and keeps its state in a tmpfs: whatever it
 * does is gone with the cell. The cell stays as its parent. */
#ifndef CONTREE_INIT_RUNTIME_H
#define CONTREE_INIT_RUNTIME_H

#include "init/failure.h"
#include "init/spec.h"

/* `group_fds` as in ORDER_SETUP. Returns only on failure. */
int runtime_enter(const struct cell_limits *limits,
                  const struct root_spec *root, const int *group_fds,
                  unsigned group_count, struct failure *f);

#endif
