/* instances.c: POST /instances (http-api.md §4.8). A client may ask for three
 * extensions:
 * - Prefer: wait (RFC 7240): the answer comes when the run has ended;
 * - Idempotency-Key: all requests with one key are one run;
 * - Contree-Runtime: refuse the run if another runtime makes the sandboxes. */
#include "api/api.h"
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
 * null result. */
static void reply_spawned(struct request *r, const char *uuid,
                          const char *request) {
    struct buffer b;
    buffer_init(&b, 128 << 20);
    json_open(&b, NULL, '{');
    json_add_string(&b, "uuid", uuid);
    buffer_add(&b, request + 1, strlen(request) - 2);
    buffer_add(&b, ",", 1);
    json_add_raw(&b, "result", NULL, 0);
    json_close(&b, '}');
    request_set_location(r, uuid);
    reply_json(r, 201, &b);
}

static void reply_active(struct request *r, struct operation *op) {
    struct operation_row row;
    struct fault f;
    operation_fill_row(op, &row);
    if (operation_record(op, &f) < 0) {
        operation_cancel(op, NULL); /* the client never learns its id */
        reply_fault(r, &f);
    } else {
        reply_spawned(r, row.uuid, operation_request(op));
    }
}

/* ---- the reply at the end ---- */

struct wait {
    struct operation_waiter waiter;
    struct request *request;
    struct operation *operation;
    bool keyed;
};

static void reply_ended(struct request *r, const char *uuid) {
    reply_header(r, "Preference-Applied", "wait");
    request_set_location(r, uuid);
}

static void on_end(struct operation_waiter *waiter, struct operation *op,
                   bool ended) {
    struct wait *w = (struct wait *)waiter;
    struct request *r = w->request;
    struct operation_row row;
    free(w);
    request_on_gone(r, NULL, NULL);
    if (!ended) {
        reply_active(r, op);
        return;
    }
    operation_fill_row(op, &row);
    reply_ended(r, row.uuid);
    operation_reply(r, 201, op, true);
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

static void wait_for(struct request *r, struct operation *op, double seconds,
                     bool keyed) {
    struct wait *w = calloc(1, sizeof *w);
    if (!w) {
        reply_active(r, op);
        return;
    }
    w->waiter.deadline = monotonic_seconds() + seconds;
    w->waiter.done = on_end;
    w->request = r;
    w->operation = op;
    w->keyed = keyed;
    operation_wait(op, &w->waiter);
    request_on_gone(r, on_gone, w);
}

/* The seconds of "wait=N" in the Prefer header; 0 without. */
static double preferred_wait(struct request *r) {
    const char *p = request_header(r, "Prefer");
    while (p && *p) {
        p += strspn(p, " \t,;");
        if (strncasecmp(p, "wait=", 5) == 0) {
            double seconds = strtod(p + 5, NULL);
            return seconds > 0 && seconds <= RUN_TIMEOUT_MAX ? seconds
                   : seconds > 0                             ? RUN_TIMEOUT_MAX
                                                             : 0;
        }
        p += strcspn(p, ",;");
    }
    return 0;
}

static void answer(struct request *r, struct operation *op, bool keyed) {
    double seconds = preferred_wait(r);
    if (seconds > 0)
        wait_for(r, op, seconds, keyed);
    else
        reply_active(r, op);
}

/* ---- one run for one key ---- */

static void reply_same(struct request *r, const char *uuid,
                       struct operation *op, const char *request) {
    if (op) {
        answer(r, op, true);
    } else if (preferred_wait(r) > 0) {
        reply_ended(r, uuid);
        operation_reply_stored(r, 201, uuid);
    } else {
        reply_spawned(r, uuid, request);
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
    const char *wanted = request_header(r, "Contree-Runtime");
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
    return run_parse(request_json(r), request_engine(r)->ids, run, f);
}

static int read_headers(struct request *r, struct run *run, struct fault *f) {
    const char *key = request_header(r, "Idempotency-Key");
    if (check_runtime(r, f) < 0)
        return -1;
    if (key && (!*key || strlen(key) > RUN_KEY_MAX))
        return fault_set(f, 400, "Idempotency-Key must have 1 to %d bytes",
                         RUN_KEY_MAX);
    if (key)
        run->idempotency_key = key;
    return 0;
}

static void instances_spawn(struct request *r) {
    struct run *run = request_state(r);
    struct fault f;
    if (read_headers(r, run, &f) < 0) {
        reply_fault(r, &f);
        return;
    }
    bool keyed = run->idempotency_key != NULL;
    if (keyed && answer_by_key(r, run))
        return;
    struct operation *op = operation_start(request_engine(r)->operations, run,
                                           request_client(r), &f);
    /* The key must hold from now on, also after a crash of the engine. */
    if (!op || (keyed && operation_record(op, &f) < 0))
        reply_fault(r, &f);
    else
        answer(r, op, keyed);
}

const struct route instances_routes[] = {
    {"POST", "instances", BODY_JSON, .handle = instances_spawn,
     .digest = instances_digest},
    {.method = NULL},
};
