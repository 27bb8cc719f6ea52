/* launcher.h: delivers cells, out of which sandbox.c makes sandboxes.
 *
 * A cell is an init (init/protocol.h) that waits on its control socket for
 * ORDER_SETUP. Forkservers (init/forkserver.h) make cells; the launcher keeps
 * some ready, so that a run does not wait for namespaces. */
#ifndef CONTREE_SANDBOX_LAUNCHER_H
#define CONTREE_SANDBOX_LAUNCHER_H

#include "base/fault.h"
#include "base/ids.h"
#include "sandbox/cell_request.h"
#include "sandbox/cgroup.h"
#include "sandbox/runtime.h"
#include <stdbool.h>
#include <uv.h>

struct launcher;
struct forkserver_handle;

/* ---- for the engine ---- */

/* Starts the forkservers and waits until they can make cells. Call it before
 * any thread exists, from the loop's thread: they end with it. Makes l/, w/ and
 * v/ in the data directory; layers, workspaces and volumes in them must be
 * owned by (or open to) id base, which mounts them. dir_fd and `runtime` (NULL:
 * native) must live as long. `nice` (0 to SANDBOX_NICE_MAX) is how much lower
 * the priority of sandboxes is than ours. 503 with the wall that cannot be
 * built. */
struct launcher *launcher_open(int dir_fd, struct id_range ids,
                               const struct runtime *runtime, int nice,
                               struct fault *f);
/* Attaches it to the loop, and asks for the first cells. */
int launcher_attach(struct launcher *l, uv_loop_t *loop, struct fault *f);
void launcher_close(struct launcher *l);
/* The walls of every sandbox of this engine, for `isolation` and the doctor:
 * "user,mount,pid,net,ipc,uts,cgroup,seccomp,no_new_privs,capabilities", ",ids"
 * if sandboxes have more than one id, and ",runtime:crun" if that built some.
 */
const char *launcher_isolation(const struct launcher *l);
/* 422 when a sandbox with these limits cannot be made here. */
int launcher_check_limits(const struct launcher *l, const struct limits *limits,
                          struct fault *f);

/* ---- for sandbox.c ---- */

struct cell {
    int control; /* SOCK_SEQPACKET, not blocking; closing it ends the cell */
    int pidfd;   /* readable when all its processes are gone */
    int net;     /* its network namespace, to be connected; else -1 */
    const struct forkserver_handle *maker; /* the launcher's */
};
/* Whether it lives. A cell whose forkserver is dead is about to die. */
bool cell_is_usable(const struct cell *cell);

/* Either fills `cell`, owned by the caller, and returns true, or remembers `r`
 * and returns false. */
bool launcher_take(struct launcher *l, struct cell_request *r,
                   struct cell *cell);
/* Asks for new cells in place of those that were taken. Call it when a run has
 * just ended. Otherwise it happens a moment later, when the run that took one
 * has begun. */
void launcher_refill(struct launcher *l);
struct cgroups *launcher_cgroups(struct launcher *l);
/* The processor for the next sandbox: they take turns. */
unsigned launcher_processor(struct launcher *l);
/* Removes dropped groups, again and again while some are busy. */
void launcher_sweep(struct launcher *l);
bool launcher_has_runtime(const struct launcher *l);
/* The configuration in ORDER_SETUP for the runtime: "" if there is none. The
 * caller frees it; NULL: out of memory. */
char *launcher_config(const struct launcher *l, const char *hostname,
                      int64_t shm_bytes);
/* contree-airlock, to be executed; it stays the launcher's. -1 with the fault.
 */
int launcher_airlock(struct launcher *l, struct fault *f);
/* The filter of system calls (filter.h). */
int launcher_filter(const struct launcher *l);
/* The data directory. */
int launcher_dir(const struct launcher *l);
uv_loop_t *launcher_loop(struct launcher *l);

#endif
