/* cell_queue.h: requests for cells that wait for an answer, the oldest first.
 */
#ifndef CONTREE_SANDBOX_CELL_QUEUE_H
#define CONTREE_SANDBOX_CELL_QUEUE_H

struct cell_request;

/* Requests are their owners'. */
struct cell_queue {
    struct cell_request *first, **last;
    int count;
};

void cell_queue_init(struct cell_queue *q);
void cell_queue_add(struct cell_queue *q, struct cell_request *r);
/* Puts one that was taken before all others. */
void cell_queue_put_back(struct cell_queue *q, struct cell_request *r);
/* The oldest one, which is no longer in it then; NULL: there is none. */
struct cell_request *cell_queue_take(struct cell_queue *q);

#endif
