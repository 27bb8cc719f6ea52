/* operation.h: operations: from a checked request to a finished row in the
 * store (http-api.md §8). Loop thread only.
 *
 * An operation is here as long as it is active; afterwards it is a row and a
 * log in the store. */
#ifndef CONTREE_OPERATION_OPERATION_H
#define CONTREE_OPERATION_OPERATION_H

#include "base/fault.h"
#include "base/uuid.h"
#include "operation/engine.h"
#include "operation/events.h"
#include "operation/spec.h"
#include "store/store.h"

enum {
    IMPORTS_AT_A_TIME = 8,
    /* What fits into the options of an overlay mount on every kernel. */
    LAYERS_MAX = 400,
    IMPORT_TIMEOUT = 300 /* seconds */
};

struct operations;
struct operation;
struct gc_pins;

struct operations *operations_open(struct engine *e, struct fault *f);
/* Cancels all and starts no more; operations_active() goes to 0. */
void operations_stop(struct operations *all);
void operations_close(struct operations *all);
/* Sees to what is to be cleaned or watched, as long as there is something. */
void operations_housekeep(struct operations *all);
/* What they use (layer/gc.h). */
int operations_pin(const struct operations *all, struct gc_pins *p,
                   struct fault *f);
/* Not yet over, or their sandboxes not yet gone. */
size_t operations_active(const struct operations *all);
size_t operations_running(const struct operations *all, const char *kind);

/* Starts or queues a run; takes over what is in `run`, whatever the outcome.
 * The operation is the caller's to use until it returns to the loop. `client`
 * tells clients apart, who take turns when there is a queue. 404 for an image
 * or file that is not there; 429 when the queue is full; what the sandbox
 * refuses. */
struct operation *operation_start(struct operations *all, struct run *run,
                                  long client, struct fault *f);
/* What POST /images/import asks for (http-api.md §4.4); all but url may be
 * NULL. */
struct import_request {
    char *url, *username, *password, *tag;
    int64_t timeout; /* seconds, from its start on */
};
/* Frees what it owns, the password's bytes wiped. */
void import_request_clear(struct import_request *r);
/* Starts or queues an import; takes over what is in `r`, whatever the outcome.
 * 400 for a url or tag that is none, 429 when too many wait, 501 with the fix
 * when this machine cannot import. */
struct operation *operation_import(struct operations *all,
                                   struct import_request *r, struct fault *f);
/* The active operation of that uuid, or NULL. */
struct operation *operation_find(struct operations *all, const char *uuid);
/* The operation that an idempotency key made, stored or active, gets this
 * uuid. */
void operation_key_uuid(const char *key, char out[UUID_SIZE]);

/* Its state, for replies; strings are borrowed. */
void operation_row(const struct operation *op, struct operation_row *out);
struct event_log *operation_log(const struct operation *op);
/* The request with its defaults, a JSON object. */
const char *operation_request(const struct operation *op);

/* Nothing is in the store until somebody may ask for it by uuid: call these
 * before a uuid is told, and before the store is listed. */
int operation_record(struct operation *op, struct fault *f);
void operations_record(struct operations *all);
/* Newest first. The visitor returns false to stop. */
void operations_visit(struct operations *all,
                      bool (*visit)(void *arg, struct operation *op),
                      void *arg);

/* Kills it; it becomes CANCELLED later. 409 when it is too late. */
int operation_cancel(struct operation *op, struct fault *f);

/* Somebody who waits for the end, or for `deadline` (monotonic seconds). done()
 * is called once, when the operation has ended and is stored or, with `ended`
 * false, at the deadline. */
struct operation_waiter {
    double deadline;
    void (*done)(struct operation_waiter *w, struct operation *op, bool ended);
    struct operation_waiter *next;
};
void operation_wait(struct operation *op, struct operation_waiter *w);
void operation_unwait(struct operation *op, struct operation_waiter *w);

/* Starts a subprocess; takes over what is in `run`. `started` is called once,
 * from the loop, with the spid or why it was none (spid 0); not at all when
 * this fails: 425 before the main process runs, 409 after it has ended. */
struct spawn_waiter {
    void (*started)(struct spawn_waiter *w, int spid, const struct fault *why);
};
int operation_spawn(struct operation *op, struct run_process *run,
                    struct spawn_waiter *w, struct fault *f);
void operation_forget_spawn(struct operation *op, struct spawn_waiter *w);
/* 404 no such process, 425 not started yet, 409 not running any more; a signal
 * to a process that has ended does nothing. */
int operation_signal(struct operation *op, int spid, int signal,
                     struct fault *f);
int operation_write(struct operation *op, int spid, const void *data,
                    size_t length, bool close, struct fault *f);

#endif
