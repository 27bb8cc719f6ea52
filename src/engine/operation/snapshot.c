/* snapshot.c: see snapshot.h. */
#include "operation/snapshot.h"
#include "base/clock.h"
#include "base/scope.h"
#include "layer/publish.h"
#include "layer/squash.h"
#include "operation/commands.h"
#include "operation/internal.h"
#include "operation/operation.h"
#include "operation/orders.h"
#include "operation/pause.h"
#include "operation/save.h"
#include <stdlib.h>
#include <string.h>

struct hold {
    struct pause_waiter waiter;
    struct snapshot *snapshot;
};

struct snapshot {
    struct job job;
    struct operation *op;   /* a reference */
    struct snapshot *next;  /* of the box */
    struct snapshot *other; /* of all boxes */
    struct hold hold;
    struct snapshot_waiter *waiter; /* or NULL */
    atomic_bool cancelled;
    bool empty; /* nothing was written: the image is that of the box */
    struct workspace copy;
    struct image image;
    struct fault fault; /* status 0: none */
};

static int begin(struct snapshot *s);

/* ---- the end ---- */

static void unlist(struct snapshot *s) {
    struct snapshot **p = &s->op->all->snapshots;
    while (*p != s)
        p = &(*p)->other;
    *p = s->other;
    p = &s->op->snapshots;
    while (*p != s)
        p = &(*p)->next;
    *p = s->next;
}

/* Answer, and begin the next one. */
static void finish(struct snapshot *s) {
    struct operation *op = s->op;
    const struct image *made = s->empty ? &op->image : &s->image;
    const struct fault *why = s->fault.status ? &s->fault : NULL;
    bool first = op->snapshots == s;
    unlist(s);
    op->idle_since = 0;
    commands_settle(op);
    if (s->waiter)
        s->waiter->done(s->waiter, made->uuid, made->size, why);
    image_clear(&s->image);
    free(s);
    if (first && op->snapshots && begin(op->snapshots) < 0)
        finish(op->snapshots);
    operation_unref(op);
}

/* ---- the image ---- */

/* Worker. The workspace is consumed. */
static void publish_work(struct job *j) {
    struct snapshot *s = (struct snapshot *)j;
    const struct operation *op = s->op;
    struct layers *layers = op->all->engine->layers;
    struct survey found;
    if (workspace_survey(layers, &s->copy, &found, &s->fault) < 0 ||
        operation_check_layer(op, &found, &s->fault) < 0) {
        workspace_drop(layers, &s->copy);
        return;
    }
    workspace_publish_image(layers, &s->copy, op->image.layer, &s->image,
                            &s->fault);
}

static void publish_done(struct job *j) {
    finish((struct snapshot *)j);
}

/* ---- the copy ---- */

static void copy_work(struct job *j) {
    struct snapshot *s = (struct snapshot *)j;
    const struct operation *op = s->op;
    struct layers *layers = op->all->engine->layers;
    if (workspace_is_empty(layers, &op->workspace, &s->empty, &s->fault) < 0 ||
        s->empty)
        return;
    workspace_copy(layers, &op->workspace, op->layers, op->layer_count,
                   &s->cancelled, &s->copy, &s->fault);
}

static void copy_done(struct job *j) {
    struct snapshot *s = (struct snapshot *)j;
    struct operation *op = s->op;
    op->reading = false;
    if (!op->concluded) {
        pause_release(op);
        orders_go_on(op);
    } else {
        if (s->fault.status)
            fault_set(&s->fault, 409, "the box has ended");
        if (op->finished && !op->sandbox)
            operation_drop_workspace(op);
    }
    if (s->fault.status || s->empty)
        finish(s);
    else
        job_start(&op->all->engine->workers, &s->job, publish_work,
                  publish_done);
}

static void start_copy(struct snapshot *s) {
    s->op->reading = true;
    job_start(&s->op->all->engine->workers, &s->job, copy_work, copy_done);
}

static void on_hold(struct pause_waiter *w, const struct fault *why) {
    struct snapshot *s = ((struct hold *)w)->snapshot;
    struct operation *op = s->op;
    if (!why) {
        start_copy(s);
        return;
    }
    s->fault = *why;
    if (!op->concluded)
        orders_go_on(op);
    finish(s);
}

static int begin(struct snapshot *s) {
    int rc = pause_hold(s->op, &s->hold.waiter, &s->fault);
    if (rc > 0)
        start_copy(s);
    return rc;
}

/* ---- for others ---- */

static char *copy_text(const char *text) {
    return text ? strdup(text) : NULL;
}

static void describe(struct image *i, const struct operation *op) {
    uuid_random(i->uuid);
    memcpy(i->operation, op->uuid, UUID_SIZE);
    i->created = wall_microseconds();
    i->env = copy_text(op->image.env);
    i->cwd = copy_text(op->image.cwd);
    i->user = copy_text(op->image.user);
}

static int check(const struct operation *op, struct fault *f) {
    if (op->kind->check_orders(op, f) < 0)
        return -1;
    return op->run.process.held
               ? 0
               : fault_set(f, 422, "only a box can be snapshot");
}

int operation_snapshot(struct operation *op, struct snapshot_waiter *w,
                       struct fault *f) {
    struct snapshot **end = &op->snapshots;
    if (check(op, f) < 0)
        return -1;
    struct snapshot *s = calloc(1, sizeof *s);
    if (!s)
        return fault_memory(f);
    s->op = op;
    s->waiter = w;
    s->hold = (struct hold){{.done = on_hold}, s};
    describe(&s->image, op);
    op->references++;
    while (*end)
        end = &(*end)->next;
    *end = s;
    s->other = op->all->snapshots;
    op->all->snapshots = s;
    commands_settle(op);
    if (op->snapshots != s || begin(s) >= 0)
        return 0;
    *f = s->fault;
    s->waiter = NULL;
    finish(s);
    return -1;
}

void operation_forget_snapshot(struct operation *op,
                               struct snapshot_waiter *w) {
    for (struct snapshot *s = op->snapshots; s; s = s->next)
        if (s->waiter == w)
            s->waiter = NULL;
}

void snapshots_end(struct operation *op) {
    for (struct snapshot *s = op->snapshots; s; s = s->next)
        s->cancelled = true;
}

bool snapshots_pin(const struct operations *all, struct gc_pins *p) {
    bool ok = true;
    for (const struct snapshot *s = all->snapshots; s && ok; s = s->other)
        ok = s->op->kind->pin(s->op, p);
    return ok;
}
