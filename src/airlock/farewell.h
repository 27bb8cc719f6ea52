/* farewell.h: the last words to a client. */
#ifndef CONTREE_AIRLOCK_FAREWELL_H
#define CONTREE_AIRLOCK_FAREWELL_H

#include "base/buffer.h"
#include <uv.h>

enum {
    FAREWELL_MS = 1000,
    FAREWELLS_MAX = 64 /* at once; to more clients nothing is said */
};

struct farewells {
    uv_loop_t *loop;
    size_t count;
};

/* Takes a socket over, sends the text, and closes. What the client still sends
 * is read and dropped for a while: a reset could overtake the text. */
void farewell(struct farewells *all, int fd, const struct buffer *text);

#endif
