/* forkserver.h: makes cells, one for each byte it is sent. Small,
 * single-threaded and without secrets, so that copying it is cheap and
 * harmless. */
#ifndef CONTREE_INIT_FORKSERVER_H
#define CONTREE_INIT_FORKSERVER_H

#include "init/spec.h"

#include <stdbool.h>

/* The ids of sandboxes on the host, and the maps that give them to one. */
struct sandbox_ids {
    unsigned base, count;
    const char *users, *groups;
};

/* Returns an exit code when the engine is gone. `runtime` may be NULL. */
int forkserver_main(const struct sandbox_ids *ids, bool fixed_proc,
                    const struct oci_runtime *runtime);

#endif
