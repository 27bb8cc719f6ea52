/* queue.h: operations that wait until fewer than `places` of their kind run.
 * The next one is the oldest of the client that has the fewest running: a
 * client that asks for a thousand runs does not keep others waiting for the
 * last of them. */
#ifndef CONTREE_OPERATION_QUEUE_H
#define CONTREE_OPERATION_QUEUE_H

#include "operation/internal.h"

void queue_init(struct queue *q, struct operations *all, size_t places);
bool queue_has_place(const struct queue *q);
/* Begins as many as there are places for. */
void queue_next(struct queue *q);

/* Says which queue it uses, and for which client. False without memory. */
bool operation_join(struct operation *op, struct queue *q, long client);
/* Undoes that; it neither waits nor runs. */
void operation_part(struct operation *op);
/* It begins when its turn comes. */
void operation_enqueue(struct operation *op);
/* Takes it off the queue, if it is there. */
void operation_dequeue(struct operation *op);
/* It runs now, and does no more. */
void operation_take_place(struct operation *op);
void operation_leave_place(struct operation *op);

#endif
