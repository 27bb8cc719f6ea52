/* import.c: operations of kind image_import (http-api.md §8.7): images that
 * come from a registry, as a layer on top of another image, or of two that are
 * merged. Workers do
 * IMPORTS_AT_A_TIME of them; the others wait. */
#define _GNU_SOURCE
#include "transport/import.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/descriptor.h"
#include "operation/internal.h"
#include "operation/operation.h"
#include "operation/queue.h"
#include "operation/save.h"
#include "transport/registry.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct import {
    struct job job;
    struct operation *op;
    /* What is asked for is one of these; of the others, only the time-out of
     * the request counts. */
    struct import_request request; /* it has a url */
    struct layer_request layer;    /* it has a place */
    struct merge_request merge;
    struct merge_outcome outcome; /* of the merge */
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

void layer_request_clear(struct layer_request *r) {
    image_clear(&r->parent);
    drop_fd(&r->fd);
    free(r->at);
    free(r->tag);
    *r = (struct layer_request){.fd = -1};
}

void merge_request_clear(struct merge_request *r) {
    image_clear(&r->ours);
    image_clear(&r->theirs);
    image_clear(&r->base);
    free(r->tag);
    *r = (struct merge_request){.prefer = MERGE_NEITHER};
}

static void free_import(struct operation *op) {
    struct import *i = op->import;
    operation_part(op);
    if (!i)
        return;
    import_request_clear(&i->request);
    layer_request_clear(&i->layer);
    merge_request_clear(&i->merge);
    merge_outcome_clear(&i->outcome);
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

/* Conflicts, in words. */
static void refuse_conflicts(struct import *i) {
    const struct merge_conflicts *c = &i->outcome.conflicts;
    const char *path = c->first->path;
    fault_set(&i->fault, 409,
              "both sides changed /%.200s%s, each in its own way: say with "
              "`prefer` which side wins",
              path, c->count > 1 ? " and other paths" : "");
}

static void merge_work(struct import *i, struct engine *e) {
    const struct merger m = {e->dir_fd, e->store, e->layers, e->ids};
    const struct merge_request *r = &i->merge;
    const struct merge_order o = {.ours = &r->ours,
                                  .theirs = &r->theirs,
                                  .base = *r->base.uuid ? &r->base : NULL,
                                  .prefer = r->prefer,
                                  .tag = i->op->tag,
                                  .operation = i->op->uuid,
                                  .deadline = {i->deadline, &i->cancelled}};
    if (merge_images(&m, &o, &i->outcome, &i->fault) < 0)
        return;
    if (i->outcome.refused) {
        refuse_conflicts(i);
        return;
    }
    memcpy(i->image.uuid, i->outcome.image.uuid, UUID_SIZE);
    i->image.size = i->outcome.image.size;
}

static void import_work(struct job *j) {
    struct import *i = (struct import *)j;
    const struct import_request *r = &i->request;
    struct engine *e = job_engine(j);
    const struct importer m = {e->dir_fd, e->store, e->layers, e->ids};
    const struct layer_request *l = &i->layer;
    const struct import_options o = {
        .tag = i->op->tag,
        .operation = i->op->uuid,
        .max_bytes = l->max_bytes,
        .max_entries = r->url ? 0 : l->max_bytes / LAYER_BYTES_A_NAME,
        .deadline = {i->deadline, &i->cancelled},
        .progress = on_progress,
        .progress_arg = i};
    if (r->url)
        import_registry(&m, r->url, r->username, r->password, &o, &i->image,
                        &i->fault);
    else if (l->at)
        import_layer(&m, &l->parent, l->fd, l->at, &o, &i->image, &i->fault);
    else
        merge_work(i, e);
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

/* The member by which ancestor.h finds the second parent. */
static void write_merge(struct buffer *b, const struct merge_request *m) {
    static const char *const words[] = {NULL, "ours", "theirs"};
    json_open(b, "merge", '{');
    json_add_string(b, "theirs", m->theirs.uuid);
    json_add_optional(b, "base", m->base.uuid);
    json_add_string(b, "prefer", words[m->prefer]);
    json_close(b, '}');
}

/* ImageImportMetadata (http-api.md §5.3). */
static char *write_request(const struct import_request *r,
                           const struct merge_request *merge, const char *url,
                           const char *tag) {
    struct buffer b;
    buffer_init(&b, 1 << 20);
    json_open(&b, NULL, '{');
    json_open(&b, "registry", '{');
    json_add_string(&b, "url", url);
    /* Clients expect an object. Without a login it has what they send for an
     * anonymous import. */
    json_open(&b, "credentials", '{');
    json_add_string(&b, "username", r->username ? r->username : "");
    json_add_string(&b, "password", r->username ? "<MASKED>" : "");
    json_close(&b, '}');
    json_close(&b, '}');
    json_add_string(&b, "tag", tag);
    json_add_int(&b, "timeout", r->timeout);
    if (r->temporary)
        json_add_bool(&b, "temporary", true);
    if (merge)
        write_merge(&b, merge);
    json_close(&b, '}');
    json_end(&b);
    return buffer_take(&b);
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

/* An operation without what it is to import. */
static struct operation *new_import(struct operations *all,
                                    const struct import_request *r,
                                    const struct merge_request *merge,
                                    const char *url, const char *tag) {
    struct operation *op = operation_new(all, &import_kind, NULL);
    if (!op)
        return NULL;
    op->request = write_request(r, merge, url, tag);
    if (op->request && operation_join(op, &all->imports, 0))
        op->import = calloc(1, sizeof *op->import);
    if (op->import) {
        pthread_mutex_init(&op->import->lock, NULL);
        op->import->op = op;
        op->import->layer.fd = -1;
        return op;
    }
    operation_unref(op);
    return NULL;
}

static int check(const struct operations *all, const char *tag,
                 struct fault *f) {
    size_t most = all->engine->config->max_queued;
    if (all->stopping)
        return fault_set(f, 503, "the engine is stopping");
    if (!queue_has_place(&all->imports) && all->imports.waiting >= most)
        return fault_set(
            f, 429,
            "%zu imports wait for their turn, the most that may (--max-queued)",
            most);
    return tag ? tag_check(tag, f) : 0;
}

static struct operation *start(struct operation *op) {
    operation_enlist(op);
    operation_enqueue(op);
    queue_next(&op->all->imports);
    return op;
}

/* Registries cannot be reached. Whoever asks for busybox:latest does not want
 * one, but what the engine should have made by itself: say why it is not
 * there. */
static void explain_busybox(const struct operations *all, const char *tag,
                            struct fault *f) {
    const struct fault *why = &all->engine->no_busybox;
    if (f->status == 501 && why->status && tag && strcmp(tag, BUSYBOX_TAG) == 0)
        fault_set(f, why->status == 507 ? 507 : 501,
                  "the engine could not make busybox:latest when it began: "
                  "%.300s",
                  why->message);
}

static int check_registry(const struct operations *all,
                          const struct import_request *r, struct fault *f) {
    if (registry_check(r->url, f) == 0)
        return 0;
    explain_busybox(all, r->tag, f);
    return -1;
}

struct operation *operation_import(struct operations *all,
                                   struct import_request *r, struct fault *f) {
    struct operation *op = NULL;
    if (check(all, r->tag, f) == 0 && check_registry(all, r, f) == 0 &&
        !(op = new_import(all, r, NULL, r->url, r->tag)))
        fault_memory(f);
    if (op) {
        op->import->request = *r;
        op->tag = r->tag;
        *r = (struct import_request){0};
    }
    import_request_clear(r);
    return op ? start(op) : NULL;
}

struct operation *operation_add_layer(struct operations *all,
                                      struct layer_request *r,
                                      struct fault *f) {
    const struct import_request none = {.timeout = RUN_TIMEOUT_MAX,
                                        .temporary = r->temporary};
    struct operation *op = NULL;
    char *url = NULL;
    if (check(all, r->tag, f) == 0 &&
        (asprintf(&url, "layer:%s", r->at) < 0 ||
         !(op = new_import(all, &none, NULL, url, r->tag))))
        fault_memory(f);
    free(url);
    if (op) {
        op->import->request = none;
        op->import->layer = *r;
        memcpy(op->image.uuid, r->parent.uuid, UUID_SIZE);
        op->tag = r->tag;
        *r = (struct layer_request){.fd = -1};
    }
    layer_request_clear(r);
    return op ? start(op) : NULL;
}

struct operation *operation_merge(struct operations *all,
                                  struct merge_request *r, struct fault *f) {
    const struct import_request request = {.timeout = r->timeout};
    struct operation *op = NULL;
    char url[sizeof "merge:" + UUID_SIZE];
    snprintf(url, sizeof url, "merge:%s", r->theirs.uuid);
    if (check(all, r->tag, f) == 0 &&
        !(op = new_import(all, &request, r, url, r->tag)))
        fault_memory(f);
    if (op) {
        op->import->request = request;
        op->import->merge = *r;
        memcpy(op->image.uuid, r->ours.uuid, UUID_SIZE);
        op->tag = r->tag;
        *r = (struct merge_request){.prefer = MERGE_NEITHER};
    }
    merge_request_clear(r);
    return op ? start(op) : NULL;
}

const struct merge_outcome *operation_outcome(const struct operation *op) {
    return &op->import->outcome;
}
