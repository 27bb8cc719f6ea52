/* save.c: see save.h. A run that is kept takes two trips to a worker. The first
 * makes the layer and the image; the second writes the end of the operation and
 * makes all of it durable. Only then is the end told. */
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
};

/* Worker. */
static void finish_work(struct job *j) {
    struct durable_end *s = (struct durable_end *)j;
    struct store *store = s->op->all->engine->store;
    int (*write)(struct store *, const struct operation_row *, const char *,
                 size_t, struct fault *) =
        s->recorded ? store_operation_finish : store_operation_record;
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

static void finish_done(struct job *j) {
    struct durable_end *s = (struct durable_end *)j;
    struct operation *op = s->op;
    if (s->fault.status) {
        take_back(s);
    } else {
        op->status = "SUCCESS";
        operation_ended(op);
    }
    free(s);
    operation_unref(op);
}

void operation_succeed(struct operation *op) {
    struct durable_end *s = calloc(1, sizeof *s);
    if (!s) {
        operation_settle(op, "SUCCESS");
        return;
    }
    s->op = op;
    op->references++;
    operation_complete(op, "SUCCESS");
    operation_fill_row(op, &s->row);
    s->row.status = "SUCCESS";
    s->recorded = op->recorded;
    op->recorded = true;
    s->log = event_log_text(op->log, &s->log_length);
    job_start(&op->all->engine->workers, &s->job, finish_work, finish_done);
}

/* ---- the image ---- */

struct save {
    struct job job;
    struct operation *op;
    struct image image; /* the result */
    bool changed;       /* the image has a new layer */
    bool published;     /* the workspace has become the layer */
    bool full;          /* too much for max_layer_bytes */
    int64_t bytes;      /* size of the layer */
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

/* Make the result of a run that wrote nothing: the image itself, or a new image
 * of the same layer if the variables differ. Worker. */
static int keep_layer(struct save *s) {
    struct operation *op = s->op;
    s->image.size = op->image.size;
    s->image.layer = op->image.layer;
    if (same_text(s->image.env, op->image.env)) {
        memcpy(s->image.uuid, op->image.uuid, UUID_SIZE);
        return 0;
    }
    s->changed = true;
    return store_image_add(op->all->engine->store, &s->image, &s->fault);
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

/* Worker. */
static int publish(struct save *s) {
    struct operation *op = s->op;
    struct layers *layers = op->all->engine->layers;
    struct survey v;
    bool empty;
    if (workspace_is_empty(layers, &op->workspace, &empty, &s->fault) < 0)
        return -1;
    if (empty)
        return keep_layer(s);
    if (workspace_survey(layers, &op->workspace, &v, &s->fault) < 0)
        return -1;
    s->bytes = v.bytes;
    s->full = operation_check_layer(op, &v, &s->fault) < 0;
    if (s->full)
        return -1;
    s->changed = s->published = true;
    /* finish_work() makes it durable. */
    return workspace_publish_unsynced(layers, &op->workspace, &v,
                                      op->image.layer, &s->image, &s->fault);
}

static void publish_work(struct job *j) {
    struct save *s = (struct save *)j;
    if (publish(s) < 0 && !s->fault.status)
        fault_set(&s->fault, 500, "the image could not be saved");
}

static void publish_failed(struct save *s) {
    struct operation *op = s->op;
    op->fault = s->fault;
    if (s->fault.status == 507)
        operation_hit_limit(op, "disk", s->full ? op->run.max_layer_bytes : 0);
    operation_settle(op, "FAILED");
    save_free(s);
}

/* The next run of a session is likely to begin with what this one made. */
static void expect_next(struct save *s) {
    const struct operation *op = s->op;
    struct root root = root_of(op);
    size_t more = s->published, count = op->layer_count + more;
    int64_t *layers CLEANUP(cleanup_free) = calloc(count + 1, sizeof *layers);
    if (!layers || count > LAYERS_MAX)
        return;
    layers[0] = s->image.layer;
    memcpy(layers + more, op->layers, op->layer_count * sizeof *layers);
    root.layers = layers;
    root.layer_count = count;
    warm_expect(op->all->warm, &root, 1);
}

static void publish_done(struct job *j) {
    struct save *s = (struct save *)j;
    struct operation *op = s->op;
    if (!s->published) {
        op->has_workspace = true;
        operation_drop_workspace(op);
    } else {
        operations_recycle(op->all);
    }
    if (s->fault.status) {
        publish_failed(s);
        return;
    }
    memcpy(op->result_image, s->image.uuid, UUID_SIZE);
    op->image_size = s->image.size;
    op->layer_bytes = s->bytes;
    expect_next(s);
    operation_succeed(op);
    save_free(s);
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
    job_start(&op->all->engine->workers, &s->job, publish_work, publish_done);
}

/* ---- its workspace ---- */

void operation_drop_workspace(struct operation *op) {
    if (!op->has_workspace)
        return;
    op->has_workspace = false;
    root_end(op->all->engine, &op->workspace);
}
