/* start.c: takes a run from its request to its sandbox, or to the queue. */
#include "base/clock.h"
#include "base/scope.h"
#include "operation/internal.h"
#include "operation/operation.h"
#include "operation/queue.h"
#include "operation/run.h"
#include "operation/save.h"
#include "operation/schedule.h"
#include "sandbox/launcher.h"
#include <stdlib.h>
#include <string.h>

static int find_files(struct operation *op, struct fault *f) {
    if (op->run.file_count == 0)
        return 0;
    op->contents = calloc(op->run.file_count, sizeof *op->contents);
    if (!op->contents)
        return fault_memory(f);
    for (size_t i = 0; i < op->run.file_count; i++) {
        const struct run_file *file = &op->run.files[i];
        struct stored_file stored;
        if (store_file_by_uuid(op->all->engine->store, file->uuid, &stored, f) <
            0)
            return -1;
        memcpy(op->contents[i], stored.sha256, sizeof stored.sha256);
    }
    return 0;
}

static int settle_limits(struct operation *op, struct fault *f) {
    const struct engine *e = op->all->engine;
    limits_default(&op->run.limits, &e->config->limits);
    return launcher_check_limits(e->launcher, &op->run.limits, f);
}

static int prepare(struct operation *op, struct fault *f) {
    struct store *store = op->all->engine->store;
    op->request = steal_pointer(&op->run.text);
    if (settle_limits(op, f) < 0)
        return -1;
    if (store_image_resolve(store, op->run.image, &op->image, f) < 0 ||
        find_files(op, f) < 0)
        return -1;
    if (op->image.env)
        op->image_env = json_loads(op->image.env, 0, NULL);
    if (op->run.process.image_user)
        op->run.process.user = op->image.user;
    if (!*op->run.process.cwd && op->image.cwd)
        op->run.process.cwd = op->image.cwd;
    return 0;
}

static struct operation *new_run(struct operations *all, struct run *run,
                                 long client, struct fault *f) {
    if (all->stopping) {
        fault_set(f, 503, "the engine is stopping");
        return NULL;
    }
    struct operation *op = operation_new(all, &run_kind, run->idempotency_key);
    if (op && operation_join(op, &all->runs, client))
        return op;
    if (op)
        operation_unref(op);
    fault_memory(f);
    return NULL;
}

/* 429 if the run may not wait. */
static int check_queue(const struct operations *all, const struct run *run,
                       struct fault *f) {
    const struct queue *q = &all->runs;
    if (q->waiting >= all->engine->config->max_queued)
        return fault_set(f, 429,
                         "%zu runs wait for a sandbox, the most that may "
                         "(--max-queued); %zu run (--max-runs)",
                         q->waiting, q->running);
    if (run->queue_timeout == 0)
        return fault_set(f, 429,
                         "all %zu sandboxes are taken (--max-runs), and "
                         "queue_timeout = 0 says not to wait for one",
                         q->running);
    return 0;
}

/* Wait for a place, at most for queue_timeout. */
static void await_turn(struct operation *op) {
    if (op->run.queue_timeout >= 0) {
        op->deadline = monotonic_seconds() + op->run.queue_timeout;
        operations_due(op->all, op->deadline);
    }
    operation_enqueue(op);
}

struct operation *operation_start(struct operations *all, struct run *run,
                                  long client, struct fault *f) {
    bool now = queue_has_place(&all->runs) && !all->runs.waiting;
    struct operation *op = NULL;
    if (now || check_queue(all, run, f) == 0)
        op = new_run(all, run, client, f);
    if (!op) {
        run_clear(run);
        return NULL;
    }
    op->run = *run;
    *run = (struct run){0};
    op->run.idempotency_key = NULL; /* borrowed for the call */
    if (prepare(op, f) < 0 || (now && run_begin(op, f) < 0)) {
        operation_drop_workspace(op);
        operation_unref(op);
        return NULL;
    }
    operation_enlist(op);
    if (!now)
        await_turn(op);
    return op;
}
