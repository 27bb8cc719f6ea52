/* relay.h: passing bytes between two sockets, in both directions, by splice(2):
 * they are not copied. Each end of a direction is passed on for itself, so one
 * side may go on after the other has said all. Loop thread only. */
#ifndef CONTREE_BASE_RELAY_H
#define CONTREE_BASE_RELAY_H

#include "base/buffer.h"
#include "base/fault.h"
#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

/* Empty pipes that relays share. A relay has one only while it holds bytes. */
enum { PIPES_MAX = 32 };
struct pipes {
    int list[PIPES_MAX][2];
    size_t count;
};
void pipes_close(struct pipes *p);

struct relay;
/* Takes over both sockets, which must not block. done() is called once, from
 * the loop, when both are closed. NULL with the fault; then they are closed. */
struct relay *relay_start(uv_loop_t *loop, struct pipes *pipes, int outer,
                          int inner, void (*done)(void *arg), void *arg,
                          struct fault *f);
/* Pass this on as if the outer side had sent it; right after relay_start(). */
int relay_offer(struct relay *r, const void *data, size_t length,
                struct fault *f);
/* From now on give take() what the outer side sends. It adds to `out`, which is
 * empty, what is to be passed on. False: the relay ends, with a reset. NULL:
 * pass it on unseen again. */
void relay_filter(struct relay *r,
                  bool (*take)(void *arg, const char *data, size_t length,
                               struct buffer *out),
                  void *arg);
/* End the relay, and give its outer socket to the caller. The inner side sees a
 * reset. */
int relay_release(struct relay *r);
/* The inner side is gone: pass on what it has sent, then close. */
void relay_finish(struct relay *r);
/* Close now; the peers see a reset. */
void relay_abort(struct relay *r);
/* Close a socket so that its peer sees a reset. */
void close_with_reset(int *fd);

#endif
