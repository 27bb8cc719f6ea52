/* save.c: see save.h. A run that is kept takes one trip to a worker, which
 * makes the layer, the image and the end of the operation durable; only then is
 * the end told. What the run wrote is looked at before, since the end tells of
 * it: a few files here, more on a trip of their own.
 *
 * All this may begin while the sandbox of the run goes: its processes are dead,
 * so nothing writes any more. But its root is still mounted, so its workspace
 * is not given back, and its end is not told, before it is gone: the next run
 * would mount what is mounted. */
#define _GNU_SOURCE
#include "operation/save.h"
#include "base/clock.h"
#include "base/scope.h"
#include "layer/publish.h"
#include "layer/survey.h"
#include "operation/command_line.h"
#include "operation/internal.h"
#include "operation/operation.h"
#include "operation/root.h"
#include "operation/warm.h"
#include <stdlib.h>
#include <string.h>

/* ---- the end ---- */

struct durable_end {
    struct job job;
    struct operation *op;
    struct operation_row row;
    bool recorded; /* the row exists */
    const char *log;
    size_t log_length;
    struct fault fault; /* status 0: none */
    /* Worker: make what the end tells of. NULL: it is made. */
    int (*make)(struct durable_end *s);
    /* The end is on the disk or, with the fault, is about to be undone. */
    void (*made)(struct durable_end *s);
    void (*free)(struct durable_end *s);
};

/* Worker. */
static void finish_work(struct job *j) {
    struct durable_end *s = (struct durable_end *)j;
    struct store *store = s->op->all->engine->store;
    int (*write)(struct store *, const struct operation_row *, const char *,
                 size_t, struct fault *) =
        s->recorded ? store_operation_finish : store_operation_record;
    if (s->make && s->make(s) < 0) {
        if (!s->fault.status)
            fault_set(&s->fault, 500, "the image could not be saved");
        return;
    }
    if (event_log_sync(s->op->log, &s->fault) < 0 ||
        write(store, &s->row, s->log, s->log_length, &s->fault) < 0)
        return;
    s->recorded = true;
    store_sync(store, &s->fault);
}

/* The end is not on the disk, so undo it. */
static void take_back(struct durable_end *s) {
    struct operation *op = s->op;
    event_log_rollback(op->log);
    op->result_image[0] = 0;
    op->image_size = -1;
    op->layer_bytes = 0;
    op->recorded = s->recorded;
    op->fault = s->fault;
    operation_settle(op, "FAILED");
}

static void tell(struct durable_end *s) {
    struct operation *op = s->op;
    /* Until now nobody could know the image. */
    memcpy(op->result_image, s->row.result_image, UUID_SIZE);
    if (s->made)
        s->made(s);
    if (s->fault.status) {
        take_back(s);
    } else {
        op->status = "SUCCESS";
        operation_ended(op);
    }
    s->free(s);
    operation_unref(op);
}

static void finish_done(struct job *j) {
    struct durable_end *s = (struct durable_end *)j;
    if (s->op->sandbox)
        s->op->saved = s; /* operation_sandbox_gone() goes on */
    else
        tell(s);
}

void operation_sandbox_gone(struct operation *op) {
    struct durable_end *s = op->saved;
    op->saved = NULL;
    if (s)
        tell(s);
    if (op->finished)
        operation_drop_workspace(op);
}

/* End it with what `s` makes. */
static void finish(struct operation *op, struct durable_end *s) {
    s->op = op;
    op->references++;
    operation_complete(op, "SUCCESS");
    operation_fill_row(op, &s->row);
    s->row.status = "SUCCESS";
    s->recorded = op->recorded;
    op->recorded = true;
    op->result_image[0] = 0;
    s->log = event_log_text(op->log, &s->log_length);
    job_start(&op->all->engine->workers, &s->job, finish_work, finish_done);
}

static void free_end(struct durable_end *s) {
    free(s);
}

void operation_succeed(struct operation *op) {
    struct durable_end *s = calloc(1, sizeof *s);
    if (!s) {
        operation_settle(op, "SUCCESS");
        return;
    }
    s->free = free_end;
    finish(op, s);
}

/* ---- the image ---- */

struct save {
    struct durable_end end; /* its job also looks */
    struct operation *op;
    struct image image; /* the result */
    struct survey found;
    bool empty;         /* the run wrote nothing */
    struct fault fault; /* status 0: none */
};

static void save_free(struct save *s) {
    struct operation *op = s->op;
    image_clear(&s->image);
    free(s);
    operation_unref(op);
}

static bool same_text(const char *a, const char *b) {
    return a == b || (a && b && strcmp(a, b) == 0);
}

int operation_check_layer(const struct operation *op, const struct survey *v,
                          struct fault *f) {
    int64_t limit = op->run.max_layer_bytes;
    if (v->bytes > limit)
        return fault_set(f, 507,
                         "the run wrote %lld bytes, more than "
                         "max_layer_bytes = %lld",
                         (long long)v->bytes, (long long)limit);
    if (v->entries > LAYER_NAMES_MIN && v->entries > limit / LAYER_BYTES_A_NAME)
        return fault_set(f, 507,
                         "the run made %lld files, more than max_layer_bytes "
                         "= %lld allows at %d bytes each",
                         (long long)v->entries, (long long)limit,
                         LAYER_BYTES_A_NAME);
    return 0;
}

static void give_back(struct save *s) {
    s->op->has_workspace = true;
    if (!s->op->sandbox)
        operation_drop_workspace(s->op);
}

static void save_failed(struct save *s, int64_t limit) {
    struct operation *op = s->op;
    give_back(s);
    op->fault = s->fault;
    if (s->fault.status == 507)
        operation_hit_limit(op, "disk", limit);
    operation_settle(op, "FAILED");
    save_free(s);
}

/* The next run of a session is likely to begin with what this one made. */
static void expect_next(struct save *s) {
    const struct operation *op = s->op;
    const struct root root = root_of(op);
    struct root made = root;
    size_t more = !s->empty, count = op->layer_count + more;
    int64_t *layers CLEANUP(cleanup_free) = calloc(count + 1, sizeof *layers);
    if (!layers || count > LAYERS_MAX)
        return;
    layers[0] = s->image.layer;
    memcpy(layers + more, op->layers, op->layer_count * sizeof *layers);
    made.layers = layers;
    made.layer_count = count;
    warm_follow(op->all->warm, &root, &made, 1);
}

/* Worker. finish_work() makes it durable. */
static int make_image(struct durable_end *end) {
    struct save *s = (struct save *)end;
    struct operation *op = s->op;
    struct engine *e = op->all->engine;
    if (s->empty) {
        s->image.layer = op->image.layer;
        return store_image_add(e->store, &s->image, &end->fault);
    }
    return workspace_publish_unsynced(e->layers, &op->workspace, &s->found,
                                      op->image.layer, &s->image, &end->fault);
}

static void image_made(struct durable_end *end) {
    struct save *s = (struct save *)end;
    give_back(s);
    if (!end->fault.status)
        expect_next(s);
    else if (end->fault.status == 507)
        operation_hit_limit(s->op, "disk", 0);
}

static void free_save(struct durable_end *end) {
    save_free((struct save *)end);
}

/* The run wrote nothing: its result is the image itself. */
static void keep_image(struct save *s) {
    struct operation *op = s->op;
    give_back(s);
    memcpy(op->result_image, op->image.uuid, UUID_SIZE);
    op->image_size = op->image.size;
    s->image.layer = op->image.layer;
    expect_next(s);
    operation_succeed(op);
    save_free(s);
}

static void save_found(struct save *s) {
    struct operation *op = s->op;
    if (s->fault.status) {
        save_failed(s, 0);
    } else if (operation_check_layer(op, &s->found, &s->fault) < 0) {
        save_failed(s, op->run.max_layer_bytes);
    } else if (s->empty && same_text(s->image.env, op->image.env)) {
        keep_image(s);
    } else {
        s->image.size = s->empty ? op->image.size : s->found.bytes;
        memcpy(op->result_image, s->image.uuid, UUID_SIZE);
        op->image_size = s->image.size;
        op->layer_bytes = s->found.bytes;
        s->end.make = make_image;
        s->end.made = image_made;
        s->end.free = free_save;
        finish(op, &s->end);
    }
}

static void look_work(struct job *j) {
    struct save *s = (struct save *)j;
    struct layers *layers = s->op->all->engine->layers;
    const struct workspace *w = &s->op->workspace;
    if (workspace_is_empty(layers, w, &s->empty, &s->fault) == 0 && !s->empty)
        workspace_survey(layers, w, &s->found, &s->fault);
}

static void look_done(struct job *j) {
    save_found((struct save *)j);
}

/* The variables of the result: those of the image, and with preserve_env those
 * of the request (http-api.md §8.6). */
static char *result_env(const struct operation *op) {
    if (op->run.preserve_env)
        return run_preserved_env(&op->run.process, op->image_env);
    return op->image.env ? strdup(op->image.env) : NULL;
}

void operation_save(struct operation *op) {
    struct save *s = calloc(1, sizeof *s);
    if (!s) {
        fault_memory(&op->fault);
        operation_settle(op, "FAILED");
        return;
    }
    s->op = op;
    op->references++;
    op->has_workspace = false; /* it belongs to the save now */
    uuid_random(s->image.uuid);
    memcpy(s->image.operation, op->uuid, UUID_SIZE);
    s->image.created = wall_microseconds();
    s->image.env = result_env(op);
    s->image.cwd = op->image.cwd ? strdup(op->image.cwd) : NULL;
    s->image.user = op->image.user ? strdup(op->image.user) : NULL;
    if (workspace_survey_small(op->all->engine->layers, &op->workspace,
                               &s->found, &s->empty))
        save_found(s);
    else
        job_start(&op->all->engine->workers, &s->end.job, look_work, look_done);
}

/* ---- its workspace ---- */

void operation_drop_workspace(struct operation *op) {
    if (!op->has_workspace || op->reading)
        return;
    op->has_workspace = false;
    root_end(op->all->engine, &op->workspace);
}
