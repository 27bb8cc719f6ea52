/* operations.c: all active operations; see operation.h. */
#include "operation/internal.h"
#include "operation/operation.h"
#include "operation/queue.h"
#include "operation/snapshot.h"
#include "operation/squash.h"
#include "operation/warm.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

size_t operations_active(const struct operations *all) {
    return all->count;
}

bool operations_have_ended(const struct operations *all) {
    return all->count == 0 && warm_count(all->warm) == 0;
}

void operations_drop_warm(struct operations *all) {
    warm_drop(all->warm);
}

size_t operations_running(const struct operations *all, const char *kind) {
    size_t n = 0;
    for (const struct operation *op = all->active; op; op = op->next)
        n += strcmp(op->kind->name, kind) == 0;
    return n;
}

int operations_pin(const struct operations *all, struct gc_pins *p,
                   struct fault *f) {
    bool ok = operations_pin_squash(all, p);
    for (const struct operation *op = all->active; op && ok; op = op->next)
        ok = op->kind->pin(op, p);
    ok = ok && snapshots_pin(all, p);
    return ok ? 0 : fault_memory(f);
}

/* ---- opening and closing ---- */

struct operations *operations_open(struct engine *e, struct fault *f) {
    struct operations *all = calloc(1, sizeof *all);
    struct utsname u;
    struct warm_pool *warm = warm_open(e);
    if (!all || !warm) {
        free(all);
        warm_close(warm);
        fault_memory(f);
        return NULL;
    }
    all->engine = e;
    all->warm = warm;
    queue_init(&all->runs, all, e->config->max_runs);
    queue_init(&all->imports, all, IMPORTS_AT_A_TIME);
    all->timer.data = all->housekeeping.data = all;
    uv_timer_init(e->loop, &all->timer);
    uv_timer_init(e->loop, &all->housekeeping);
    all->open_handles = 2;
    if (uname(&u) == 0) {
        snprintf(all->kernel, sizeof all->kernel, "%.63s", u.release);
        snprintf(all->machine, sizeof all->machine, "%.63s", u.machine);
    }
    return all;
}

void operations_stop(struct operations *all) {
    all->stopping = true;
    warm_drop(all->warm);
    operations_stop_squash(all);
    for (struct operation *op = all->active, *after; op; op = after) {
        after = op->next;
        operation_cancel(op, NULL);
    }
}

static void on_closed(uv_handle_t *handle) {
    struct operations *all = handle->data;
    if (--all->open_handles > 0)
        return;
    warm_close(all->warm);
    pipes_close(&all->pipes);
    free(all);
}

void operations_close(struct operations *all) {
    if (!all)
        return;
    uv_close((uv_handle_t *)&all->timer, on_closed);
    uv_close((uv_handle_t *)&all->housekeeping, on_closed);
}
