/* squash.c: see squash.h. A worker squashes one chain at a time, beside the run
 * that found it due. */
#include "operation/squash.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/scope.h"
#include "layer/squash.h"
#include "operation/end.h"
#include "operation/internal.h"
#include "operation/queue.h"
#include <stdlib.h>

/* For this long after a failure, only runs that must wait for a squash try
 * again. */
#define REST_SECONDS 60.0

struct squashing {
    struct job job;
    struct operations *all;
    struct chain_layer *chain;
    size_t count;
    struct squash_range range;
    atomic_bool cancelled;
    struct fault fault; /* status 0: none */
};

static void squash_work(struct job *j) {
    struct squashing *s = (struct squashing *)j;
    if (squash_layers(job_engine(j)->layers, s->chain, s->count, s->range,
                      &s->cancelled, &s->fault) < 0 &&
        !s->fault.status)
        fault_set(&s->fault, 500, "layers could not be squashed");
}

/* Queue the runs that waited. One whose chain is still too long waits again. */
static void wake_waiters(struct operations *all, int64_t layer,
                         const struct fault *why) {
    struct operation *op = steal_pointer(&all->squash_waiters);
    while (op) {
        struct operation *next = steal_pointer(&op->queue_next);
        bool failed = why->status && op->image.layer == layer;
        if (!op->concluded && failed)
            operation_fail(op, why, NULL, 0);
        else if (!op->concluded)
            operation_enqueue(op);
        operation_unref(op);
        op = next;
    }
    queue_next(&all->runs);
}

static void squash_done(struct job *j) {
    struct squashing *s = (struct squashing *)j;
    struct operations *all = s->all;
    if (s->fault.status) {
        all->squash_after = monotonic_seconds() + REST_SECONDS;
        if (!s->cancelled)
            log_line("%s", s->fault.message);
    }
    all->squashing = NULL;
    wake_waiters(all, s->chain[0].name, &s->fault);
    free(s->chain);
    free(s);
}

/* Take `chain` over if it returns 0. */
static int start(struct operations *all, struct chain_layer *chain,
                 size_t count, struct squash_range range, struct fault *f) {
    struct squashing *s = calloc(1, sizeof *s);
    if (!s)
        return fault_memory(f);
    s->all = all;
    s->chain = chain;
    s->count = count;
    s->range = range;
    all->squashing = s;
    job_start(&all->engine->workers, &s->job, squash_work, squash_done);
    return 0;
}

bool operations_squash(struct operations *all, struct chain_layer *chain,
                       size_t count) {
    if (all->squashing || all->stopping)
        return false;
    struct squash_range range = squash_due(chain, count);
    return range.count && monotonic_seconds() >= all->squash_after &&
           start(all, chain, count, range, NULL) == 0;
}

int operation_await_squash(struct operation *op, struct chain_layer *chain,
                           size_t count, struct fault *f) {
    struct operations *all = op->all;
    if (all->squashing)
        free(chain);
    else if (start(all, chain, count, squash_most(chain, count), f) < 0) {
        free(chain);
        return -1;
    }
    struct operation **end = &all->squash_waiters;
    while (*end)
        end = &(*end)->queue_next;
    *end = op;
    op->queue_next = NULL;
    op->references++;
    return 0;
}

void operations_stop_squash(struct operations *all) {
    if (all->squashing)
        all->squashing->cancelled = true;
}

bool operations_pin_squash(const struct operations *all, struct gc_pins *p) {
    const struct squashing *s = all->squashing;
    bool ok = true;
    for (size_t i = 0; s && ok && i < s->count; i++)
        ok = gc_pin_layer(p, s->chain[i].name) &&
             gc_pin_layer(p, s->chain[i].id);
    return ok;
}
