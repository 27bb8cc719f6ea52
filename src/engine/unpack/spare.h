/* spare.h: starting the process that unpacks (child.h), also ahead of its
 * archive: the start takes longer than unpacking a few files, most of it to
 * load this program's libraries. Until it gets its order the process has a
 * socket, and nothing else. Any thread. */
#ifndef CONTREE_UNPACK_SPARE_H
#define CONTREE_UNPACK_SPARE_H

#include "base/fault.h"
#include <stdbool.h>
#include <sys/types.h>

struct unpacker {
    pid_t pid;   /* 0: none */
    int control; /* the parent's end of its socket, owned */
};

/* Start one. Blocks for a moment. */
int unpacker_start(struct unpacker *u, struct fault *f);
/* Kill it and wait for its end. Returns its status, as wait() does. */
int unpacker_end(struct unpacker *u);

/* Take one that waits, which may have died. False: none waits. */
bool spare_take(struct unpacker *u);
/* SPARE_NONE: none waits, and none was asked for in the last seconds.
 * SPARE_DUE: spare_keep() has something to do. */
enum spare_state { SPARE_NONE, SPARE_WAITS, SPARE_DUE };
enum spare_state spare_state(double seconds);
/* Have some wait if one was asked for in the last seconds, else none. Blocks
 * for a moment. */
void spare_keep(double seconds);

#endif
