/* message.h: the packets between the two ends of jail.h. The parent trusts none
 * of the child's. */
#ifndef CONTREE_UNPACK_MESSAGE_H
#define CONTREE_UNPACK_MESSAGE_H

#include "base/digest.h"
#include "base/fault.h"
#include "unpack/options.h"
#include <limits.h>
#include <stdbool.h>

/* The child's argv[0]. */
#define UNPACK_NAME "contree-unpack"

/* The child's descriptors, beside /dev/null as 0 to 2. It begins with the
 * control socket alone; the first packet brings the others. */
enum { UNPACK_CONTROL = 3, UNPACK_ROOT, UNPACK_INPUT };

/* The first packet to the child. */
struct unpack_order {
    pid_t parent;
    uint32_t ids;
    bool layer, whiteouts, asks; /* asks: there is a `below` */
    int64_t max_bytes, max_entries;
    double deadline; /* as in struct deadline */
    char at[PATH_MAX];
};

/* From the child. */
struct unpack_message {
    enum {
        UNPACK_MAP,   /* it has left the user namespace: map its ids */
        UNPACK_BELOW, /* find `path` in the layers below */
        UNPACK_FILE,  /* copy the file `path` from below */
        /* Much was unpacked: let the disk begin. There is no answer. */
        UNPACK_ADVANCED,
        UNPACK_DONE
    } kind;
    int status; /* of UNPACK_DONE: 0, or -1 with the fault */
    struct fault fault;
    struct unpack_result result;
    char digest[DIGEST_SIZE];
    char path[PATH_MAX];
};

/* To the child, for each of the first three. */
struct unpack_answer {
    int status; /* -1: give up. For UNPACK_BELOW 1: found, 0: not found */
    struct unpack_below below;
};

#endif
