/* schedule.c: see schedule.h. */
#include "operation/schedule.h"
#include "base/clock.h"
#include "operation/internal.h"
#include "operation/operation.h"
#include <math.h>

void operation_wait(struct operation *op, struct operation_waiter *w) {
    w->next = op->waiters;
    op->waiters = w;
    operations_due(op->all, w->deadline);
}

void operation_unwait(struct operation *op, struct operation_waiter *w) {
    struct operation_waiter **p = &op->waiters;
    while (*p && *p != w)
        p = &(*p)->next;
    if (*p)
        *p = w->next;
}

static void on_timer(uv_timer_t *timer);

void operations_due(struct operations *all, double deadline) {
    if (uv_is_active((uv_handle_t *)&all->timer) && all->timer_due <= deadline)
        return;
    double seconds = deadline - monotonic_seconds();
    all->timer_due = deadline;
    uv_update_time(all->engine->loop);
    uv_timer_start(&all->timer, on_timer,
                   seconds > 0 ? (uint64_t)(seconds * 1000) + 1 : 0, 0);
}

static double sooner(double a, double b) {
    return a < b ? a : b;
}

/* Tell the waiters whose deadline has passed; return the next deadline. */
static double expire_waiters(struct operation *op, double now) {
    struct operation_waiter *due = NULL, **p = &op->waiters;
    double next = INFINITY;
    while (*p) {
        struct operation_waiter *w = *p;
        if (w->deadline > now) {
            next = sooner(next, w->deadline);
            p = &w->next;
            continue;
        }
        *p = w->next;
        w->next = due;
        due = w;
    }
    while (due) {
        struct operation_waiter *w = due;
        due = w->next;
        w->done(w, op, false);
    }
    return next;
}

static double due_at(const struct operation *op) {
    return op->due && !op->stopped_at ? op->due + op->stood_still : INFINITY;
}

static bool is_due(const struct operation *op, double now) {
    return due_at(op) <= now;
}

void operations_due_run(struct operation *op, double due) {
    op->due = due;
    if (isfinite(due_at(op)))
        operations_due(op->all, due_at(op));
}

double operation_clock(const struct operation *op) {
    double now = op->stopped_at ? op->stopped_at : monotonic_seconds();
    return now - op->stood_still;
}

void operation_stop_clock(struct operation *op) {
    if (!op->stopped_at)
        op->stopped_at = monotonic_seconds();
}

void operation_start_clock(struct operation *op) {
    if (!op->stopped_at)
        return;
    op->stood_still += monotonic_seconds() - op->stopped_at;
    op->stopped_at = 0;
    operations_due_run(op, op->due);
}

static void on_timer(uv_timer_t *timer) {
    struct operations *all = timer->data;
    double now = monotonic_seconds(), next = INFINITY;
    for (struct operation *op = all->active, *after; op; op = after) {
        after = op->next;
        op->references++;
        if (op->deadline && op->deadline <= now)
            op->kind->expire(op);
        if (op->deadline)
            next = sooner(next, op->deadline);
        if (is_due(op, now))
            op->kind->wake(op);
        next = sooner(next, due_at(op));
        next = sooner(next, expire_waiters(op, now));
        operation_unref(op);
    }
    if (isfinite(next))
        operations_due(all, next);
}
