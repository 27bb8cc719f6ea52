/* queue.c: see queue.h. */
#include "operation/queue.h"
#include "operation/internal.h"
#include "operation/operation.h"
#include <stdlib.h>

/* One process that asks for runs. All of TCP counts as one. */
struct client {
    struct client *next;
    long id;
    size_t references, running;
};

void queue_init(struct queue *q, struct operations *all, size_t places) {
    *q = (struct queue){.all = all, .end = &q->first, .places = places};
}

bool queue_has_place(const struct queue *q) {
    return q->running < q->places;
}

static struct client *find_client(struct queue *q, long id) {
    struct client *c = q->clients;
    while (c && c->id != id)
        c = c->next;
    if (!c && (c = calloc(1, sizeof *c))) {
        c->id = id;
        c->next = q->clients;
        q->clients = c;
    }
    return c;
}

bool operation_join(struct operation *op, struct queue *q, long client) {
    op->queue = q;
    op->client = find_client(q, client);
    if (op->client)
        op->client->references++;
    return op->client != NULL;
}

void operation_part(struct operation *op) {
    struct client *c = op->client;
    if (!c || --c->references > 0)
        return;
    struct client **p = &op->queue->clients;
    while (*p != c)
        p = &(*p)->next;
    *p = c->next;
    free(c);
}

void operation_take_place(struct operation *op) {
    op->queue->running++;
    op->client->running++;
}

void operation_leave_place(struct operation *op) {
    op->queue->running--;
    op->client->running--;
}

void operation_enqueue(struct operation *op) {
    struct queue *q = op->queue;
    op->references++;
    op->queued = true;
    op->queue_next = NULL;
    *q->end = op;
    q->end = &op->queue_next;
    q->waiting++;
}

/* Remove the operation at *place. The caller takes over the reference of the
 * queue. */
static struct operation *take(struct queue *q, struct operation **place) {
    struct operation *op = *place;
    *place = op->queue_next;
    if (!*place)
        q->end = place;
    op->queue_next = NULL;
    op->queued = false;
    q->waiting--;
    return op;
}

void operation_dequeue(struct operation *op) {
    if (!op->queued)
        return;
    struct operation **place = &op->queue->first;
    while (*place != op)
        place = &(*place)->queue_next;
    operation_unref(take(op->queue, place));
}

static struct operation **next_turn(struct queue *q) {
    struct operation **best = &q->first;
    for (struct operation **p = best; *p && (*best)->client->running;
         p = &(*p)->queue_next)
        if ((*p)->client->running < (*best)->client->running)
            best = p;
    return best;
}

void queue_next(struct queue *q) {
    operations_housekeep(q->all);
    while (q->first && queue_has_place(q)) {
        struct operation *op = take(q, next_turn(q));
        op->kind->begin(op);
        operation_unref(op);
    }
}
