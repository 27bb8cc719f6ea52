/* cell_request.h: a request for a cell, and the queue of those that wait for an
 * answer, the oldest first. */
#ifndef CONTREE_SANDBOX_CELL_REQUEST_H
#define CONTREE_SANDBOX_CELL_REQUEST_H

#include <stdbool.h>

struct cell;
struct fault;

/* A request for a cell. The caller owns it, and keeps it until the answer. */
struct cell_request {
    /* Exactly one of these is called, from the loop. */
    void (*ready)(struct cell_request *r, struct cell cell);
    void (*refused)(struct cell_request *r, const struct fault *why);
    bool connected;            /* to a network, by the caller */
    struct cell_request *next; /* the queue's */
    bool repeated;             /* the launcher's: a cell for it has failed */
};

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
