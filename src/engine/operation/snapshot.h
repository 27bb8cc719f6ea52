/* snapshot.h: images of what a box holds now, while it goes on. Its processes
 * are stopped while what they wrote is copied, or shared where the file system
 * can; they go on before the copy is synced and becomes an image. So an image
 * is of one moment, and durable when it is told. */
#ifndef CONTREE_OPERATION_SNAPSHOT_H
#define CONTREE_OPERATION_SNAPSHOT_H

#include "base/fault.h"
#include "store/garbage.h"
#include <stdbool.h>
#include <stdint.h>

struct operation;
struct operations;

struct snapshot_waiter {
    /* NULL: the image is there. The waiter is forgotten before. */
    void (*done)(struct snapshot_waiter *w, const char *image, int64_t size,
                 const struct fault *why);
};
/* Begin one, or queue it behind another one of the box; done() is called once,
 * from the loop. 422 if it is no box, 425 before it is open, 409 when it has
 * ended. */
int operation_snapshot(struct operation *op, struct snapshot_waiter *w,
                       struct fault *f);
/* The snapshot goes on. */
void operation_forget_snapshot(struct operation *op, struct snapshot_waiter *w);

/* For the rest of this room. The box has ended: give up what is not an image
 * yet. */
void snapshots_end(struct operation *op);
/* Keep the layers from garbage collection. False: out of memory. */
bool snapshots_pin(const struct operations *all, struct gc_pins *p);

#endif
