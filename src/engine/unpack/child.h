/* child.h: what the two ends of jail.h say to each other, over a
 * socket of packets. The parent believes nothing of it. */
#ifndef CONTREE_UNPACK_CHILD_H
#define CONTREE_UNPACK_CHILD_H

#include "base/digest.h"
#include "base/fault.h"
#include "unpack/jail.h"
#include <limits.h>
#include <stdbool.h>

#define UNPACK_NAME "contree-unpack"

/* The child's descriptors, beside /dev/null as 0 to 2. */
enum { UNPACK_ROOT = 3, UNPACK_INPUT, UNPACK_CONTROL, UNPACK_FDS };

/* First to the child. */
struct unpack_order {
    pid_t parent;
    uint32_t ids;
    bool layer, whiteouts, asks; /* asks: there is a `below` */
    int64_t max_bytes, max_entries;
    double deadline;
};

/* From the child. */
struct unpack_message {
    enum {
        UNPACK_MAP,   /* it has left the user namespace: map its ids */
        UNPACK_BELOW, /* what is `path` below? */
        UNPACK_FILE,  /* copy the file `path` from below */
        UNPACK_DONE
    } kind;
    int status; /* of UNPACK_DONE: 0 or -1, then with the fault */
    struct fault fault;
    struct unpack_result result;
    char digest[DIGEST_SIZE];
    char path[PATH_MAX];
};

/* To the child, for each of the first three. */
struct unpack_answer {
    int status; /* -1: end, it is all over; UNPACK_BELOW: 1 found, 0 not */
    struct unpack_below below;
};

#endif
