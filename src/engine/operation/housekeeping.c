/* housekeeping.c: watches operations, cleans workspaces, empties the trash,
 * checkpoints the store and has a process wait for the next archive, every
 * 250 ms while there is something to do. */
#include "base/clock.h"
#include "base/log.h"
#include "layer/trash.h"
#include "layer/workspace.h"
#include "operation/internal.h"
#include "operation/operation.h"
#include "unpack/spare.h"
#include <stdlib.h>

enum {
    HOUSEKEEPING_MS = 250,
    RETRY_SECONDS = 60,
    SPARE_SECONDS = 10, /* that a process waits for the next archive */
    RECYCLE_AT_ONCE = 8 /* workspaces: few enough to have clean ones ready */
};

struct chore {
    struct job job;
    struct operations *all;
    bool fold, failed;
};

static void trash_work(struct job *j) {
    trash_empty(((struct chore *)j)->all->engine->layers);
}

static void trash_done(struct job *j) {
    ((struct chore *)j)->all->cleaning = false;
    free(j);
}

/* What runs leave: ends in the journal of the store, and workspaces. */
static void recycle_work(struct job *j) {
    struct chore *c = (struct chore *)j;
    struct engine *e = c->all->engine;
    struct fault f;
    c->failed = c->fold && store_fold(e->store, &f) < 0;
    if (c->failed)
        log_line("ends of operations wait in the journal: %s", f.message);
    workspaces_recycle(e->layers);
}

static void recycle_done(struct job *j) {
    struct operations *all = ((struct chore *)j)->all;
    all->recycling = false;
    if (((struct chore *)j)->failed)
        all->fold_after = monotonic_seconds() + RETRY_SECONDS;
    free(j);
}

static void checkpoint_work(struct job *j) {
    struct chore *c = (struct chore *)j;
    struct fault f;
    c->failed = store_checkpoint(c->all->engine->store, &f) < 0;
    if (c->failed)
        log_line("checkpoint: %s", f.message);
}

static void checkpoint_done(struct job *j) {
    struct operations *all = ((struct chore *)j)->all;
    all->checkpointing = false;
    if (((struct chore *)j)->failed)
        all->checkpoint_after = monotonic_seconds() + RETRY_SECONDS;
    free(j);
}

static void spare_work(struct job *j) {
    (void)j;
    spare_keep(SPARE_SECONDS);
}

static void spare_done(struct job *j) {
    ((struct chore *)j)->all->sparing = false;
    free(j);
}

static void do_chore(struct operations *all, bool due, bool *busy,
                     void (*work)(struct job *), void (*done)(struct job *)) {
    struct chore *c = due && !*busy ? calloc(1, sizeof *c) : NULL;
    if (!c)
        return;
    *busy = true;
    c->all = all;
    c->fold = monotonic_seconds() >= all->fold_after;
    job_start(&all->engine->workers, &c->job, work, done);
}

static void recycle(struct operations *all, bool due) {
    do_chore(all, due, &all->recycling, recycle_work, recycle_done);
}

static void watch_all(struct operations *all) {
    for (struct operation *op = all->active, *after; op; op = after) {
        after = op->next;
        op->kind->watch(op);
    }
}

static void on_housekeeping(uv_timer_t *timer) {
    struct operations *all = timer->data;
    struct engine *e = all->engine;
    bool left = workspaces_left(e->layers) > 0 || store_unfolded(e->store) > 0;
    bool trash = !trash_is_empty(e->layers);
    bool checkpoint = store_checkpoint_due(e->store) &&
                      monotonic_seconds() >= all->checkpoint_after;
    enum spare_state spare = spare_state(SPARE_SECONDS);
    watch_all(all);
    recycle(all, left);
    do_chore(all, trash, &all->cleaning, trash_work, trash_done);
    do_chore(all, checkpoint, &all->checkpointing, checkpoint_work,
             checkpoint_done);
    do_chore(all, spare == SPARE_DUE, &all->sparing, spare_work, spare_done);
    if (!all->runs.running && !all->imports.running && !left && !trash &&
        !checkpoint && spare == SPARE_NONE)
        uv_timer_stop(timer);
    if (!all->active)
        uv_timer_stop(&all->timer); /* of waiters who have had their answer */
}

void operations_housekeep(struct operations *all) {
    if (!uv_is_active((uv_handle_t *)&all->housekeeping))
        uv_timer_start(&all->housekeeping, on_housekeeping, HOUSEKEEPING_MS,
                       HOUSEKEEPING_MS);
}

void operations_recycle(struct operations *all) {
    recycle(all, workspaces_left(all->engine->layers) >= RECYCLE_AT_ONCE);
    operations_housekeep(all);
}
