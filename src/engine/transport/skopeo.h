/* skopeo.h: the program skopeo as a child process; it speaks with registries
 * for us. */
#ifndef CONTREE_TRANSPORT_SKOPEO_H
#define CONTREE_TRANSPORT_SKOPEO_H

#include "base/buffer.h"
#include "base/deadline.h"
#include "base/fault.h"
#include <limits.h>

struct skopeo {
    int dir;          /* where it runs; all that it writes goes there */
    const char *auth; /* what its authfile holds: JSON, never on a disk */
    struct deadline deadline;
    /* Called several times a second; -1 with the fault ends it. May be NULL. */
    int (*watch)(void *arg, struct fault *f);
    void *arg;
};

/* 501 with the fix when this machine has none. */
int skopeo_find(char path[PATH_MAX], struct fault *f);

/* Runs it with `args` (ended by NULL), takes what it prints into `out` (NULL:
 * nobody wants it) and waits for its end; then none of its processes is left.
 * When the calling thread ends, it is killed. 502 with its last words when it
 * fails, 408 past the deadline, 409 cancelled, 413 when it prints more than
 * `out` may hold. Blocks: worker. */
int skopeo_run(const struct skopeo *s, const char *const *args,
               struct buffer *out, struct fault *f);

#endif
