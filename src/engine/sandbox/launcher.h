/* launcher.h: between sandbox.c and what makes sandboxes.
 *
 * A launcher delivers cells: an init (init/protocol.h) that waits on its
 * control socket for ORDER_SETUP. launcher.c keeps some ready. */
#ifndef CONTREE_SANDBOX_LAUNCHER_H
#define CONTREE_SANDBOX_LAUNCHER_H

#include "sandbox/sandbox.h"

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
uv_loop_t *launcher_loop(struct launcher *l);

#endif
