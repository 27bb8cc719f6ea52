/* runtime.h: an OCI runtime that makes the sandboxes in the native launcher's
 * place (`--runtime crun`), for those whose policy names one.
 *
 * It works inside of a cell's namespaces (init/runtime.c): the walls `user`,
 * `net` and `cgroup` are ours, it builds `mount`, `pid`, `ipc`, `uts` and the
 * masks, and contree-init inside, which builds the rest, trusts none that it
 * has not seen. The runtime must pass descriptors on (`run --preserve-fds`);
 * one that runs the sandbox on another kernel cannot. */
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
    const char *stage;   /* a directory of the host that it has no use for */
};

/* The name of the launcher that needs no runtime. */
#define RUNTIME_NATIVE "native"

/* Finds the program `name`, in PATH if it has no slash. 503 when there is no
 * such program. */
int runtime_find(const char *name, struct runtime *out, struct fault *f);
/* Whether `name`, as for runtime_find(), means this one; NULL is the native
 * launcher. */
bool runtime_is(const struct runtime *r, const char *name);
/* The bundle's config.json; `fixed_proc`: nothing in /proc can be written. The
 * caller frees it; NULL: out of memory. */
char *runtime_config(const struct runtime *r, const char *hostname,
                     int64_t shm_bytes, struct id_range ids, bool fixed_proc);

#endif
