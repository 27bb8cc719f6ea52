/* import.c: operations of kind image_import (http-api.md §8.7): some
 * at a time in workers, the others wait. */
#define _GNU_SOURCE
#include "transport/import.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "operation/internal.h"
#include "transport/registry.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct import {
    struct job job;
    struct operation *op;
    struct import_request request;
    bool begun;
    double deadline;
    atomic_bool cancelled;
    struct image image;
    struct fault fault; /* status 0: none */

    pthread_mutex_t lock; /* of what is below */
    struct import_progress progress;
    bool news; /* nobody was told of it yet */
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

void import_free(struct import *i) {
    if (!i)
        return;
    import_request_clear(&i->request);
    image_clear(&i->image);
    pthread_mutex_destroy(&i->lock);
    free(i);
}

const char *import_tag(const struct import *i) {
    return i->request.tag;
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
                                     .deadline = i->deadline,
                                     .cancelled = &i->cancelled,
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

void operations_report_imports(struct operations *all) {
    for (struct operation *op = all->active; op; op = op->next)
        if (op->import && op->import->begun && !op->concluded)
            report(op);
}

static void begin(struct operation *op);

/* The oldest of those that wait. */
static void begin_next(struct operations *all) {
    struct operation *oldest = NULL;
    for (struct operation *op = all->active; op; op = op->next)
        if (op->import && !op->import->begun && !op->concluded)
            oldest = op;
    if (oldest && all->importing < IMPORTS_AT_A_TIME && !all->stopping)
        begin(oldest);
}

static void import_done(struct job *j) {
    struct import *i = (struct import *)j;
    struct operation *op = i->op;
    struct operations *all = op->all;
    report(op);
    op->concluded = true;
    all->importing--;
    if (!i->fault.status) {
        memcpy(op->result_image, i->image.uuid, UUID_SIZE);
        op->image_size = i->image.size;
        operation_succeed(op);
    } else {
        op->fault = i->fault;
        if (i->fault.status == 408)
            op->limit = "timeout";
        else if (i->fault.status == 413 || i->fault.status == 507)
            op->limit = "disk";
        operation_settle(op, op->cancelled ? "CANCELLED" : "FAILED");
    }
    operations_housekeep(all);
    begin_next(all);
    operation_unref(op);
}

static void begin(struct operation *op) {
    struct import *i = op->import;
    i->begun = true;
    i->deadline = monotonic_seconds() + (double)i->request.timeout;
    op->status = "EXECUTING";
    op->references++;
    op->all->importing++;
    operations_housekeep(op->all);
    job_start(&op->all->engine->workers, &i->job, import_work, import_done);
}

void operation_cancel_import(struct operation *op) {
    if (op->import->begun) {
        op->import->cancelled = true;
        return;
    }
    op->concluded = true;
    op->limit = "cancelled";
    operation_settle(op, "CANCELLED");
}

/* ImageImportMetadata (http-api.md §5.3). */
static char *write_request(const struct import_request *r) {
    struct buffer b;
    buffer_init(&b, 1 << 20);
    json_open(&b, NULL, '{');
    json_open(&b, "registry", '{');
    json_add_string(&b, "url", r->url);
    /* Always an object, since clients take it for one: without a login it says
     * what they send for an anonymous import. */
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

/* Takes over the request. */
static struct import *import_new(struct operation *op,
                                 struct import_request *r) {
    struct import *i = calloc(1, sizeof *i);
    if (!i)
        return NULL;
    pthread_mutex_init(&i->lock, NULL);
    i->op = op;
    i->request = *r;
    *r = (struct import_request){0};
    return i;
}

static struct operation *operation_new_import(struct operations *all,
                                              struct import_request *r) {
    struct operation *op = operation_new(all, "image_import", NULL);
    if (!op)
        return NULL;
    op->request = write_request(r);
    if (op->request)
        op->import = import_new(op, r);
    if (op->import)
        return op;
    operation_unref(op);
    return NULL;
}

static size_t waiting(const struct operations *all) {
    size_t n = 0;
    for (const struct operation *op = all->active; op; op = op->next)
        n += op->import && !op->import->begun;
    return n;
}

static int check(const struct operations *all, const struct import_request *r,
                 struct fault *f) {
    size_t most = all->engine->config->max_queued;
    if (all->stopping)
        return fault_set(f, 503, "the engine is stopping");
    if (all->importing >= IMPORTS_AT_A_TIME && waiting(all) >= most)
        return fault_set(f, 429,
                         "%zu imports wait for their turn, as many as may "
                         "(--max-queued)",
                         most);
    if (r->tag && !tag_is_valid(r->tag))
        return fault_set(f, 400, "malformed tag '%.64s'", r->tag);
    return registry_check(r->url, f);
}

struct operation *operation_import(struct operations *all,
                                   struct import_request *r, struct fault *f) {
    struct operation *op = NULL;
    if (check(all, r, f) == 0 && !(op = operation_new_import(all, r)))
        fault_memory(f);
    import_request_clear(r);
    if (op) {
        operation_enlist(op);
        begin_next(all);
    }
    return op;
}
