/* skopeo.h: runs the program skopeo, which talks to registries. */
#ifndef CONTREE_TRANSPORT_SKOPEO_H
#define CONTREE_TRANSPORT_SKOPEO_H

#include "base/buffer.h"
#include "base/deadline.h"
#include "base/fault.h"
#include <limits.h>

struct skopeo {
    int dir;          /* its working directory; it writes nowhere else */
    const char *auth; /* content of its authfile: JSON, never on a disk */
    struct deadline deadline;
    /* Called several times a second; -1 with the fault ends skopeo. May be
     * NULL. */
    int (*watch)(void *arg, struct fault *f);
    void *arg;
};

/* Find the program. 501 with the fix if it is not installed. */
int skopeo_find(char path[PATH_MAX], struct fault *f);

/* Run it with `args` (ended by NULL) and wait until all its processes have
 * ended. Its output goes into `out` (NULL: it is dropped). The kernel kills it
 * when the calling thread ends. 502 with its last words when it fails, 408 past
 * the deadline, 409 cancelled, 413 when it prints more than `out` may hold.
 * Blocks: worker. */
int skopeo_run(const struct skopeo *s, const char *const *args,
               struct buffer *out, struct fault *f);

#endif
