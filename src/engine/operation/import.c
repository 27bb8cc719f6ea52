/* import.c: operations of kind image_import (http-api.md §8.7). Workers do
 * IMPORTS_AT_A_TIME of them; the others wait. */
#define _GNU_SOURCE
#include "transport/import.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "operation/internal.h"
#include "operation/operation.h"
#include "operation/queue.h"
#include "operation/save.h"
#include "transport/registry.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct import {
    struct job job;
    struct operation *op;
    struct import_request request;
    double deadline;
    atomic_bool cancelled;
    struct image image;
    struct fault fault; /* status 0: none */

    pthread_mutex_t lock; /* guards the members below */
    struct import_progress progress;
    bool news; /* no event told of it yet */
};

static void wipe(char *text) {
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
}

void import_request_clear(struct import_request *r) {
    free(r->url);
    free(r->username);
    wipe(r->password);
    free(r->tag);
    *r = (struct import_request){0};
}

static void free_import(struct operation *op) {
    struct import *i = op->import;
    operation_part(op);
    if (!i)
        return;
    import_request_clear(&i->request);
    image_clear(&i->image);
    pthread_mutex_destroy(&i->lock);
    free(i);
}

/* ---- in the worker ---- */

static void on_progress(void *arg, const struct import_progress *p) {
    struct import *i = arg;
    pthread_mutex_lock(&i->lock);
    i->news = i->news || memcmp(&i->progress, p, sizeof *p) != 0;
    i->progress = *p;
    pthread_mutex_unlock(&i->lock);
}

static void import_work(struct job *j) {
    struct import *i = (struct import *)j;
    const struct import_request *r = &i->request;
    struct engine *e = job_engine(j);
    const struct importer m = {e->dir_fd, e->store, e->layers, e->ids};
    const struct import_options o = {.tag = r->tag,
                                     .operation = i->op->uuid,
                                     .deadline = {i->deadline, &i->cancelled},
                                     .progress = on_progress,
                                     .progress_arg = i};
    import_registry(&m, r->url, r->username, r->password, &o, &i->image,
                    &i->fault);
}

/* ---- on the loop ---- */

static void report(struct operation *op) {
    struct import *i = op->import;
    pthread_mutex_lock(&i->lock);
    struct import_progress p = i->progress;
    bool news = i->news;
    i->news = false;
    pthread_mutex_unlock(&i->lock);
    if (!news)
        return;
    struct buffer *b = event_begin(op->log, "progress", 0);
    json_add_string(b, "phase", p.phase);
    json_add_int(b, "layer", p.layer);
    json_add_int(b, "of", p.of);
    json_add_int(b, "bytes", p.bytes);
    json_add_int(b, "total", p.total);
    event_end(op->log);
}

static void import_done(struct job *j) {
    struct import *i = (struct import *)j;
    struct operation *op = i->op;
    report(op);
    op->concluded = true;
    operation_leave_place(op);
    if (!i->fault.status) {
        memcpy(op->result_image, i->image.uuid, UUID_SIZE);
        op->image_size = i->image.size;
        operation_succeed(op);
    } else {
        op->fault = i->fault;
        if (i->fault.status == 408)
            operation_hit_limit(op, "timeout", 0);
        else if (i->fault.status == 413 || i->fault.status == 507)
            operation_hit_limit(op, "disk", 0);
        operation_settle(op, op->cancelled ? "CANCELLED" : "FAILED");
    }
    queue_next(op->queue);
    operation_unref(op);
}

static void begin(struct operation *op) {
    struct import *i = op->import;
    i->deadline = monotonic_seconds() + (double)i->request.timeout;
    op->status = "EXECUTING";
    op->references++;
    operation_take_place(op);
    operations_housekeep(op->all);
    job_start(&op->all->engine->workers, &i->job, import_work, import_done);
}

static void cancel(struct operation *op) {
    if (!op->queued) {
        op->import->cancelled = true;
        return;
    }
    operation_dequeue(op);
    op->concluded = true;
    operation_hit_limit(op, "cancelled", 0);
    operation_settle(op, "CANCELLED");
}

/* ImageImportMetadata (http-api.md §5.3). */
static char *write_request(const struct import_request *r) {
    struct buffer b;
    buffer_init(&b, 1 << 20);
    json_open(&b, NULL, '{');
    json_open(&b, "registry", '{');
    json_add_string(&b, "url", r->url);
    /* Clients expect an object. Without a login it has what they send for an
     * anonymous import. */
    json_open(&b, "credentials", '{');
    json_add_string(&b, "username", r->username ? r->username : "");
    json_add_string(&b, "password", r->username ? "<MASKED>" : "");
    json_close(&b, '}');
    json_close(&b, '}');
    json_add_string(&b, "tag", r->tag);
    json_add_int(&b, "timeout", r->timeout);
    json_close(&b, '}');
    json_end(&b);
    return buffer_take(&b);
}

/* Take over the request. */
static struct import *import_new(struct operation *op,
                                 struct import_request *r) {
    struct import *i = calloc(1, sizeof *i);
    if (!i)
        return NULL;
    pthread_mutex_init(&i->lock, NULL);
    i->op = op;
    i->request = *r;
    op->tag = i->request.tag;
    *r = (struct import_request){0};
    return i;
}

static void watch(struct operation *op) {
    if (!op->queued && !op->concluded)
        report(op);
}

static int check_orders(const struct operation *op, struct fault *f) {
    (void)op;
    return fault_set(f, 409, "an import has no processes");
}

/* It makes and uses layers that no row names yet. */
static bool pin(const struct operation *op, struct gc_pins *p) {
    (void)op;
    p->importing = true;
    return true;
}

/* No `expire`: the worker itself ends an import at its deadline. */
static const struct operation_kind import_kind = {
    .name = "image_import",
    .begin = begin,
    .cancel = cancel,
    .watch = watch,
    .check_orders = check_orders,
    .pin = pin,
    .free = free_import,
};

static struct operation *new_import(struct operations *all,
                                    struct import_request *r) {
    struct operation *op = operation_new(all, &import_kind, NULL);
    if (!op)
        return NULL;
    op->request = write_request(r);
    if (op->request && operation_join(op, &all->imports, 0))
        op->import = import_new(op, r);
    if (op->import)
        return op;
    operation_unref(op);
    return NULL;
}

static int check(const struct operations *all, const struct import_request *r,
                 struct fault *f) {
    size_t most = all->engine->config->max_queued;
    if (all->stopping)
        return fault_set(f, 503, "the engine is stopping");
    if (!queue_has_place(&all->imports) && all->imports.waiting >= most)
        return fault_set(
            f, 429,
            "%zu imports wait for their turn, the most that may (--max-queued)",
            most);
    if (r->tag && tag_check(r->tag, f) < 0)
        return -1;
    return registry_check(r->url, f);
}

struct operation *operation_import(struct operations *all,
                                   struct import_request *r, struct fault *f) {
    struct operation *op = NULL;
    if (check(all, r, f) == 0 && !(op = new_import(all, r)))
        fault_memory(f);
    import_request_clear(r);
    if (op) {
        operation_enlist(op);
        operation_enqueue(op);
        queue_next(&all->imports);
    }
    return op;
}
