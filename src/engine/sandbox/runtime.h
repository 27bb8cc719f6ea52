/* runtime.h: an OCI runtime that makes the sandboxes in place of the native
 * launcher (`--runtime crun`), where a policy demands a certain runtime.
 *
 * It works inside the namespaces of a cell (init/runtime.h). The walls `user`,
 * `net` and `cgroup` are ours; the runtime builds `mount`, `pid`, `ipc`, `uts`
 * and the masks. contree-init inside checks these and builds the rest. The
 * runtime must pass descriptors on (`run --preserve-fds`), which those that run
 * the sandbox on another kernel cannot. */
#ifndef CONTREE_SANDBOX_RUNTIME_H
#define CONTREE_SANDBOX_RUNTIME_H

#include "base/fault.h"
#include "base/ids.h"
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

struct runtime {
    char path[PATH_MAX]; /* of the program */
    const char *name;    /* the end of it */
    const char *option;  /* that all its commands need, or NULL */
    const char *stage;   /* a directory of the host that it does not need */
};

/* The name of the launcher that needs no runtime. */
#define RUNTIME_NATIVE "native"

/* Finds the program `name`, in PATH if it has no slash. 503 when there is no
 * such program. */
int runtime_find(const char *name, struct runtime *out, struct fault *f);
/* Does `name`, as for runtime_find(), mean `r`? NULL is the native launcher. */
bool runtime_is(const struct runtime *r, const char *name);
/* The bundle's config.json, which the caller frees; NULL: out of memory.
 * `fixed_proc`: /proc is read-only. */
char *runtime_config(const struct runtime *r, const char *hostname,
                     int64_t shm_bytes, struct id_range ids, bool fixed_proc);

#endif
