/* queue.c: runs that wait for a sandbox. The next one is the oldest
 * of the client that has the fewest sandboxes: who asked for a thousand runs
 * does not keep others waiting for the last of them. */
#include "operation/internal.h"
#include <stdlib.h>

/* One process that asks for runs; all of TCP is one. */
struct client {
    struct client *next;
    long id;
    size_t references, running;
};

static struct client *find_client(struct operations *all, long id) {
    struct client *c = all->clients;
    while (c && c->id != id)
        c = c->next;
    if (!c && (c = calloc(1, sizeof *c))) {
        c->id = id;
        c->next = all->clients;
        all->clients = c;
    }
    return c;
}

bool operation_set_client(struct operation *op, long id) {
    op->client = find_client(op->all, id);
    if (op->client)
        op->client->references++;
    return op->client != NULL;
}

void operation_drop_client(struct operation *op) {
    struct client *c = op->client, **p = &op->all->clients;
    if (!c || --c->references > 0)
        return;
    while (*p != c)
        p = &(*p)->next;
    *p = c->next;
    free(c);
}

void operation_take_place(struct operation *op) {
    op->all->running++;
    op->client->running++;
}

void operation_leave_place(struct operation *op) {
    op->all->running--;
    op->client->running--;
}

bool operations_have_place(const struct operations *all) {
    return all->running < all->engine->config->max_runs;
}

int operations_check_queue(const struct operations *all, const struct run *run,
                           struct fault *f) {
    size_t most = all->engine->config->max_queued;
    if (all->queued >= most)
        return fault_set(f, 429,
                         "%zu runs wait for a sandbox, as many as may "
                         "(--max-queued); %zu run (--max-runs)",
                         all->queued, all->running);
    if (run->queue_timeout == 0)
        return fault_set(f, 429,
                         "all %zu sandboxes are taken (--max-runs), and "
                         "queue_timeout = 0 says not to wait for one",
                         all->running);
    return 0;
}

void operation_enqueue(struct operation *op) {
    struct operations *all = op->all;
    op->references++;
    op->queued = true;
    op->queue_next = NULL;
    *all->queue_end = op;
    all->queue_end = &op->queue_next;
    all->queued++;
}

/* Takes what *place points to off the queue, with the queue's reference. */
static struct operation *take(struct operations *all,
                              struct operation **place) {
    struct operation *op = *place;
    *place = op->queue_next;
    if (!*place)
        all->queue_end = place;
    op->queue_next = NULL;
    op->queued = false;
    all->queued--;
    return op;
}

void operation_dequeue(struct operation *op) {
    struct operation **place = &op->all->queue;
    if (!op->queued)
        return;
    while (*place != op)
        place = &(*place)->queue_next;
    operation_unref(take(op->all, place));
}

static struct operation **next_turn(struct operations *all) {
    struct operation **best = &all->queue;
    for (struct operation **p = best; *p && (*best)->client->running;
         p = &(*p)->queue_next)
        if ((*p)->client->running < (*best)->client->running)
            best = p;
    return best;
}

void operations_next(struct operations *all) {
    operations_housekeep(all);
    while (all->queue && operations_have_place(all)) {
        struct operation *op = take(all, next_turn(all));
        struct fault f;
        if (operation_begin(op, &f) < 0)
            operation_fail(op, &f);
        operation_unref(op);
    }
}

void operation_overdue(struct operation *op) {
    struct fault why;
    fault_set(&why, 429,
              "no sandbox was free within the %g seconds of queue_timeout",
              op->run.queue_timeout);
    op->limit = "queue";
    operation_fail(op, &why);
}
