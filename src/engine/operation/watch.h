/* watch.h: what happens below a directory of a run's sandbox. */
#ifndef CONTREE_OPERATION_WATCH_H
#define CONTREE_OPERATION_WATCH_H

#include "base/buffer.h"
#include "base/fault.h"
#include "sandbox/sandbox.h"

struct operation;

/* Begins a watch: a socket that gets struct watch_packet, one a packet, and its
 * end with that of the sandbox. The caller owns it; closing it ends the watch.
 * -1: 425 before the main process runs, 409 after its end. */
int operation_watch(const struct operation *op, const char *path,
                    bool recursive, struct fault *f);
/* Receives one: 1; 0: none is there now; -1: there will be no more. */
int watch_receive(int fd, struct watch_packet *p);
/* Add it as an object (http-api.md §4.32); `top` is the watched directory. */
void watch_write(struct buffer *b, const char *top,
                 const struct watch_packet *p);

#endif
