/* queue.h: operations wait until fewer than `places` of their kind run. The
 * next one is the oldest of the client that has the fewest running, so a client
 * that asks for a thousand runs does not keep others waiting until its last. */
#ifndef CONTREE_OPERATION_QUEUE_H
#define CONTREE_OPERATION_QUEUE_H

#include "operation/internal.h"

void queue_init(struct queue *q, struct operations *all, size_t places);
bool queue_has_place(const struct queue *q);
/* Begin as many as there are places for. */
void queue_next(struct queue *q);

/* Set the queue that it uses, and its client. False: out of memory. */
bool operation_join(struct operation *op, struct queue *q, long client);
/* Undo that. It must neither wait nor run. */
void operation_part(struct operation *op);
/* Have it begin when its turn comes. */
void operation_enqueue(struct operation *op);
/* Remove it from the queue, if it waits. */
void operation_dequeue(struct operation *op);
/* Count it among the running, and no longer. */
void operation_take_place(struct operation *op);
void operation_leave_place(struct operation *op);

#endif
