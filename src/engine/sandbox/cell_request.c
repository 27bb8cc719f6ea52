/* cell_request.c: see cell_request.h. */
#include "sandbox/cell_request.h"
#include <stddef.h>

void cell_queue_init(struct cell_queue *q) {
    *q = (struct cell_queue){.last = &q->first};
}

void cell_queue_add(struct cell_queue *q, struct cell_request *r) {
    r->next = NULL;
    *q->last = r;
    q->last = &r->next;
    q->count++;
}

void cell_queue_put_back(struct cell_queue *q, struct cell_request *r) {
    r->next = q->first;
    q->first = r;
    if (!r->next)
        q->last = &r->next;
    q->count++;
}

struct cell_request *cell_queue_take(struct cell_queue *q) {
    struct cell_request *r = q->first;
    if (r) {
        q->first = r->next;
        if (!q->first)
            q->last = &q->first;
        q->count--;
    }
    return r;
}
