/* launcher.h: between sandbox.c and what makes sandboxes.
 *
 * A launcher delivers cells: an init (init/protocol.h) that waits on its
 * control socket for ORDER_SETUP. launcher.c keeps some ready. */
#ifndef CONTREE_SANDBOX_LAUNCHER_H
#define CONTREE_SANDBOX_LAUNCHER_H

#include "base/fault.h"
#include "base/ids.h"
#include "sandbox/cgroup.h"
#include "sandbox/runtime.h"
#include <stdbool.h>
#include <uv.h>

struct launcher;

/* ---- of an engine ---- */

/* Starts the forkservers that make sandboxes and waits until they can; call
 * before any thread exists, from the loop's thread: they end with it. Makes l/
 * and w/ in the data directory, where layers and workspaces must be owned by
 * (or open to) id base, who mounts them. dir_fd must stay open, and so must
 * `runtime` (NULL: native). `nice` (0 to SANDBOX_NICE_MAX) is by
 * how much their priority is lower than ours. 503 with the wall that cannot be
 * built. */
struct launcher *launcher_open(int dir_fd, struct id_range ids,
                               const struct runtime *runtime, int nice,
                               struct fault *f);
/* Attaches it to the loop, and has the first sandboxes made ahead. */
int launcher_attach(struct launcher *l, uv_loop_t *loop, struct fault *f);
void launcher_close(struct launcher *l);
/* The walls that every sandbox of this engine has, for `isolation` and the
 * doctor: "user,mount,pid,net,ipc,uts,cgroup,
 * seccomp,no_new_privs,capabilities,ids" without those that are missing, and
 * with "runtime:crun" where that built some of them. */
const char *launcher_isolation(const struct launcher *l);
/* 422 when a sandbox with these limits cannot be made here. */
int launcher_check_limits(const struct launcher *l, const struct limits *limits,
                          struct fault *f);

/* ---- for sandbox.c ---- */

struct cell {
    int control; /* SOCK_SEQPACKET, not blocking; closing it ends the cell */
    int pidfd;   /* readable when all of it is gone */
    int net;     /* its network namespace, if it is to be connected; else -1 */
};

/* Who waits for a cell. Part of the waiter, who must outlive the answer. */
struct cell_request {
    /* Exactly one of these is called, from the loop. */
    void (*ready)(struct cell_request *r, struct cell cell);
    void (*refused)(struct cell_request *r, const struct fault *why);
    bool connected;            /* to a network, by the caller */
    struct cell_request *next; /* the launcher's */
};

/* Either fills `cell`, owned by the caller, and returns true, or remembers `r`
 * and returns false. */
bool launcher_take(struct launcher *l, struct cell_request *r,
                   struct cell *cell);
/* Now is a good time to make up for the cells that were taken: a run has just
 * ended. Otherwise it happens a moment later, out of the way of the run that
 * took one. */
void launcher_refill(struct launcher *l);
struct cgroups *launcher_cgroups(struct launcher *l);
/* Another one each time, so that sandboxes are spread over them. */
unsigned launcher_processor(struct launcher *l);
/* A group was dropped, and may still be busy. */
void launcher_sweep(struct launcher *l);
/* What ORDER_SETUP tells the runtime: "" if there is none. The caller frees it;
 * NULL: out of memory. */
char *launcher_config(const struct launcher *l, const char *hostname,
                      int64_t shm_bytes);
/* The data directory. */
int launcher_dir(const struct launcher *l);
uv_loop_t *launcher_loop(struct launcher *l);

#endif
