/* instances.c: POST /instances (http-api.md §4.8). A client may ask for these
 * extensions, beside those in the body:
 * - Prefer: wait (RFC 7240): the answer comes when the run has ended;
 * - Prefer: return=minimal (RFC 7240): the answer does not repeat the request;
 * - Idempotency-Key: all requests with one key are one run;
 * - Contree-Runtime: refuse the run if another runtime makes the sandboxes. */
#include "api/api.h"
#include "api/plain.h"
#include "api/prefer.h"
#include "api/render.h"
#include "api/routes.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/uuid.h"
#include "operation/parse.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- the reply at once ---- */

/* Reply with an InstanceSpawnResponse: uuid, the members of the request, and a
 * null result; or with the uuid alone. */
static void reply_spawned(struct request *r, const char *uuid,
                          const char *request, bool minimal) {
    struct buffer b;
    buffer_init(&b, 128 << 20);
    json_open(&b, NULL, '{');
    json_add_string(&b, "uuid", uuid);
    if (minimal) {
        reply_header(r, "Preference-Applied", "return=minimal");
    } else {
        buffer_add(&b, request + 1, strlen(request) - 2);
        buffer_add(&b, ",", 1);
        json_add_raw(&b, "result", NULL, 0);
        request_set_location(r, uuid);
    }
    json_close(&b, '}');
    reply_json(r, 201, &b);
}

static void reply_active(struct request *r, struct operation *op,
                         bool minimal) {
    struct operation_row row;
    struct fault f;
    operation_fill_row(op, &row);
    if (operation_record(op, &f) < 0) {
        operation_cancel(op, NULL); /* the client never learns its id */
        reply_fault(r, &f);
    } else {
        reply_spawned(r, row.uuid, operation_request(op), minimal);
    }
}

/* ---- the reply at the end ---- */

struct wait {
    struct operation_waiter waiter;
    struct request *request;
    struct operation *operation;
    bool keyed, minimal;
};

/* Every header costs the client time, so one that wants little gets few. */
static void add_headers(struct request *r, const char *uuid, bool minimal) {
    reply_header(r, "Preference-Applied",
                 minimal ? "wait, return=minimal" : "wait");
    if (!minimal)
        request_set_location(r, uuid);
}

static void on_end(struct operation_waiter *waiter, struct operation *op,
                   bool ended) {
    struct wait *w = (struct wait *)waiter;
    struct request *r = w->request;
    struct operation_row row;
    bool minimal = w->minimal;
    free(w);
    request_on_gone(r, NULL, NULL);
    if (!ended) {
        reply_active(r, op, minimal);
        return;
    }
    operation_fill_row(op, &row);
    add_headers(r, row.uuid, minimal);
    operation_reply_ended(r, op, minimal);
}

/* The client has gone. With a key it may come back: the run goes on. Without
 * one no client knows the id of the run: cancel it. */
static void on_gone(void *arg) {
    struct wait *w = arg;
    struct fault f;
    operation_unwait(w->operation, &w->waiter);
    if (!w->keyed)
        operation_cancel(w->operation, &f); /* 409: it is ending already */
    else if (operation_record(w->operation, &f) < 0)
        log_line("%s", f.message);
    free(w);
}

static void wait_for(struct request *r, struct operation *op,
                     struct preferences preferred, bool keyed) {
    struct wait *w = calloc(1, sizeof *w);
    if (!w) {
        reply_active(r, op, preferred.minimal);
        return;
    }
    w->waiter.deadline = monotonic_seconds() + preferred.wait;
    w->waiter.done = on_end;
    w->request = r;
    w->operation = op;
    w->keyed = keyed;
    w->minimal = preferred.minimal;
    operation_wait(op, &w->waiter);
    request_on_gone(r, on_gone, w);
}

static void answer(struct request *r, struct operation *op, bool keyed) {
    struct preferences preferred = preferences_of(r);
    if (preferred.wait > 0)
        wait_for(r, op, preferred, keyed);
    else
        reply_active(r, op, preferred.minimal);
}

/* ---- one run for one key ---- */

static void reply_same(struct request *r, const char *uuid,
                       struct operation *op, const char *request) {
    struct preferences preferred = preferences_of(r);
    if (op) {
        answer(r, op, true);
    } else if (preferred.wait > 0) {
        add_headers(r, uuid, preferred.minimal);
        operation_reply_stored_ended(r, uuid, preferred.minimal);
    } else {
        reply_spawned(r, uuid, request, preferred.minimal);
    }
}

/* Answer by the operation of the same key, or refuse the request because it
 * differs; false if no operation has the key. */
static bool answer_by_key(struct request *r, const struct run *run) {
    struct engine *e = request_engine(r);
    struct operation_row row = {.metadata = NULL};
    struct fault f;
    char uuid[UUID_SIZE];
    operation_key_uuid(run->idempotency_key, uuid);
    struct operation *op = operation_find(e->operations, uuid);
    if (!op && store_operation_get(e->store, uuid, &row, &f) < 0) {
        if (f.status == 404)
            return false;
        reply_fault(r, &f);
        return true;
    }
    const char *before = op ? operation_request(op) : row.metadata;
    if (before && strcmp(before, run->text) == 0)
        reply_same(r, uuid, op, run->text);
    else
        reply_error(r, 422,
                    "this idempotency key was used for another request; use "
                    "a new key for each run");
    operation_row_clear(&row);
    return true;
}

/* ---- the handler ---- */

static int check_runtime(struct request *r, struct fault *f) {
    const char *wanted = extension_header(r, "Contree-Runtime");
    const struct runtime *own = request_engine(r)->config->runtime;
    if (!wanted || runtime_is(own, wanted))
        return 0;
    return fault_set(f, 409,
                     "the engine that runs makes its sandboxes with the "
                     "runtime %.100s, not with %.100s. Fix: kill %d, and the "
                     "next client starts another one; or have an engine for "
                     "each, with a data directory of its own",
                     own ? own->path : RUNTIME_NATIVE, wanted, (int)getpid());
}

static void release_run(void *run) {
    run_clear(run);
    free(run);
}

static int instances_digest(struct request *r, struct fault *f) {
    struct run *run = calloc(1, sizeof *run);
    if (!run)
        return fault_memory(f);
    request_own(r, run, release_run);
    if (plain_check_run(r, f) < 0)
        return -1;
    return run_parse(request_json(r), request_engine(r)->ids, run, f);
}

static int read_headers(struct request *r, struct run *run, struct fault *f) {
    const char *key = extension_header(r, "Idempotency-Key");
    if (check_runtime(r, f) < 0)
        return -1;
    if (key && (!*key || strlen(key) > RUN_KEY_MAX))
        return fault_set(f, 400, "Idempotency-Key must have 1 to %d bytes",
                         RUN_KEY_MAX);
    if (key)
        run->idempotency_key = key;
    return 0;
}

static void start(struct request *r, struct run *run) {
    struct fault f;
    bool keyed = run->idempotency_key != NULL;
    struct operation *op = operation_start(request_engine(r)->operations, run,
                                           request_client(r), &f);
    /* The key must hold from now on, also after a crash of the engine. */
    if (!op || (keyed && operation_record(op, &f) < 0))
        reply_fault(r, &f);
    else
        answer(r, op, keyed);
}

/* ---- volumes and directories of the host ---- */

/* They are opened by a worker, before there is an operation. */
struct opening {
    struct job job;
    struct request *request; /* NULL: the client has gone */
    struct run *run;         /* owned */
    bool local;
    struct fault fault;
};

static void open_work(struct job *j) {
    struct opening *o = (struct opening *)j;
    run_mounts_open(job_engine(j), &o->run->mounts, o->local, &o->fault);
}

static void open_done(struct job *j) {
    struct opening *o = (struct opening *)j;
    struct request *r = o->request;
    if (r)
        request_on_gone(r, NULL, NULL);
    if (r && o->fault.status)
        reply_fault(r, &o->fault);
    /* Another request with the same key may have come meanwhile. */
    else if (r && !(o->run->idempotency_key && answer_by_key(r, o->run)))
        start(r, o->run);
    release_run(o->run);
    free(o);
}

static void open_gone(void *arg) {
    ((struct opening *)arg)->request = NULL;
}

static void open_mounts(struct request *r, struct run *run) {
    struct engine *e = request_engine(r);
    struct opening *o = calloc(1, sizeof *o);
    struct fault f;
    if (!o || run_mounts_hold(e, &run->mounts, &f) < 0) {
        if (o)
            reply_fault(r, &f);
        else
            reply_memory(r);
        free(o);
        return;
    }
    o->request = r;
    o->run = run;
    o->local = request_is_local(r);
    request_own(r, NULL, NULL); /* it may go before the worker is done */
    request_on_gone(r, open_gone, o);
    job_start(&e->workers, &o->job, open_work, open_done);
}

static void instances_spawn(struct request *r) {
    struct run *run = request_state(r);
    struct fault f;
    if (read_headers(r, run, &f) < 0)
        reply_fault(r, &f);
    else if (run->idempotency_key && answer_by_key(r, run))
        return;
    else if (run->mounts.count > 0)
        open_mounts(r, run);
    else
        start(r, run);
}

const struct route instances_routes[] = {
    {"POST", "instances", BODY_JSON, .handle = instances_spawn,
     .digest = instances_digest},
    {.method = NULL},
};
