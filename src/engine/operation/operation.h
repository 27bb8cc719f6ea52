/* operation.h: operations, from a checked request to a finished row in the
 * store (http-api.md §8). Loop thread only.
 *
 * An operation is here while it is active. Afterwards it is a row and a log in
 * the store. */
#ifndef CONTREE_OPERATION_OPERATION_H
#define CONTREE_OPERATION_OPERATION_H

#include "base/fault.h"
#include "base/uuid.h"
#include "merge/merge.h"
#include "operation/engine.h"
#include "operation/events.h"
#include "operation/result.h"
#include "operation/spec.h"
#include "store/store.h"

enum {
    IMPORTS_AT_A_TIME = 8,
    /* As many as fit into the options of an overlay mount on every kernel. */
    LAYERS_MAX = 400,
    IMPORT_TIMEOUT = 300 /* seconds */
};

struct operations;
struct operation;
struct gc_pins;

struct operations *operations_open(struct engine *e, struct fault *f);
/* Cancel all and start no more, until operations_have_ended(). */
void operations_stop(struct operations *all);
/* Whether no operation and no sandbox is left. */
bool operations_have_ended(const struct operations *all);
void operations_close(struct operations *all);
/* Start housekeeping. It stops by itself when nothing is left to do. */
void operations_housekeep(struct operations *all);
/* A workspace was left: have it cleaned, soon, or now if many were. */
void operations_recycle(struct operations *all);
/* Keep what they use from garbage collection (layer/gc.h). */
int operations_pin(const struct operations *all, struct gc_pins *p,
                   struct fault *f);
/* Kill the sandboxes that wait for runs (warm.h): they hold layers of images.
 */
void operations_drop_warm(struct operations *all);
/* How many are not over, or have a sandbox that is not gone yet. */
size_t operations_active(const struct operations *all);
size_t operations_running(const struct operations *all, const char *kind);

/* Start or queue a run. Takes over the content of `run`, even on failure. The
 * caller may use the operation until it returns to the loop. `client` names the
 * client; clients take turns when there is a queue. 404 for an unknown image or
 * file; 429 when the queue is full; the faults of sandbox_start(). */
struct operation *operation_start(struct operations *all, struct run *run,
                                  long client, struct fault *f);
/* The request of POST /images/import (http-api.md §4.4). All strings but url
 * may be NULL. */
struct import_request {
    char *url, *username, *password, *tag;
    int64_t timeout; /* seconds from its start */
    bool temporary;  /* as in struct layer_request */
};
/* The request of POST /images/{uuid}/layers (http-api.md §4.25). */
struct layer_request {
    struct image parent; /* owned */
    /* A pipe with the archive. Cancel the operation before the pipe ends if
     * the archive is not complete: what ends otherwise becomes an image. */
    int fd;
    char *at;  /* absolute, in the image */
    char *tag; /* or NULL */
    int64_t max_bytes;
    bool temporary; /* the image is for runs that are not kept: see gc.h */
};
/* Close the pipe, and free what the request owns. */
void layer_request_clear(struct layer_request *r);
/* Wipe the password, and free what the request owns. */
void import_request_clear(struct import_request *r);
/* Start or queue an import. Takes over the content of `r`, even on failure. 400
 * for a malformed url or tag, 429 when too many wait, 501 with the fix when
 * this machine cannot import. */
struct operation *operation_import(struct operations *all,
                                   struct import_request *r, struct fault *f);
/* Start or queue the making of a layer, an operation of the kind of imports.
 * Takes over the content of `r`, even on failure. 400 for a malformed tag, 429
 * when too many wait. */
struct operation *operation_add_layer(struct operations *all,
                                      struct layer_request *r, struct fault *f);
/* The request of POST /merge (http-api.md §4.26). */
struct merge_request {
    struct image ours, theirs; /* owned */
    struct image base; /* owned; without a uuid: the nearest that both came
                        * from */
    enum merge_prefer prefer;
    char *tag; /* or NULL */
    int64_t timeout;
};
void merge_request_clear(struct merge_request *r);
/* Start or queue a merge, an operation of the kind of imports. Takes over the
 * content of `r`, even on failure. 400 for a malformed tag, 429 when too many
 * wait. */
struct operation *operation_merge(struct operations *all,
                                  struct merge_request *r, struct fault *f);
/* What has come of a merge that has ended. */
const struct merge_outcome *operation_outcome(const struct operation *op);
/* The active operation of that uuid, or NULL. */
struct operation *operation_find(struct operations *all, const char *uuid);
/* Derive the uuid of the operation that an idempotency key starts. */
void operation_key_uuid(const char *key, char out[UUID_SIZE]);

/* Its state, for replies. Strings are borrowed from it. */
void operation_fill_row(const struct operation *op, struct operation_row *out);
/* Why it failed; status 0: it did not, or it was cancelled. */
const struct fault *operation_fault(const struct operation *op);
struct event_log *operation_log(const struct operation *op);
/* The result of its main process so far, or NULL: fold it from the log. */
const struct result *operation_result(const struct operation *op);
/* The request with its defaults, as a JSON object. */
const char *operation_request(const struct operation *op);

/* An operation is stored only when somebody may ask for it by uuid. Call these
 * before a reply tells a uuid, and before listing the store. */
int operation_record(struct operation *op, struct fault *f);
void operations_record(struct operations *all);
/* Visit active operations, newest first, until the visitor returns false. */
void operations_visit(struct operations *all,
                      bool (*visit)(void *arg, struct operation *op),
                      void *arg);

/* Cancel it; it becomes CANCELLED later. 409 when it is too late. */
int operation_cancel(struct operation *op, struct fault *f);

/* Waits for the end, at most until `deadline` (monotonic seconds). done() is
 * called once: when the operation has ended and is stored, or at the deadline
 * with `ended` false. */
struct operation_waiter {
    double deadline;
    void (*done)(struct operation_waiter *w, struct operation *op, bool ended);
    struct operation_waiter *next;
};
void operation_wait(struct operation *op, struct operation_waiter *w);
void operation_unwait(struct operation *op, struct operation_waiter *w);

/* Start a subprocess. Takes over the content of `run`, even on failure. If this
 * succeeds the loop calls `started` once: with the spid, or with 0 and the
 * fault. 425 before the main process runs, 409 after it has ended. */
struct spawn_waiter {
    void (*started)(struct spawn_waiter *w, int spid, const struct fault *why);
    /* NULL, or called once after a start, when the process has ended: with its
     * result, which is borrowed. */
    void (*ended)(struct spawn_waiter *w, const struct result *result);
};
int operation_spawn(struct operation *op, struct run_process *run,
                    struct spawn_waiter *w, struct fault *f);
/* The process goes on. With `kill` it ends, with all that it has started, as
 * soon as it has been started. */
void operation_forget_spawn(struct operation *op, struct spawn_waiter *w,
                            bool kill);
/* 404 no such process, 425 not started yet, 409 not running any more. A signal
 * to a process that has ended does nothing. `family`: to all that it has
 * started, also when it has ended (init/family.h). */
int operation_signal(struct operation *op, int spid, int signal, bool family,
                     struct fault *f);
int operation_write(struct operation *op, int spid, const void *data,
                    size_t length, bool close, struct fault *f);
/* See process_stream(). */
struct input_waiter;
ssize_t operation_stream(struct operation *op, int spid, const void *data,
                         size_t length, struct input_waiter *w,
                         struct fault *f);
void operation_unwait_input(struct operation *op, int spid,
                            struct input_waiter *w);
/* See process_feed(). */
int operation_feed(struct operation *op, int spid, int file, off_t offset,
                   struct fault *f);
/* See process_resize(). */
int operation_resize(struct operation *op, int spid, unsigned rows,
                     unsigned columns, struct fault *f);
/* See process_hang_up(). A process that has not started yet is hung up when it
 * does; a main process that is in the queue is cancelled, and so is a box by
 * its spid 1. 404 no such process,
 * 409 it has no terminal. */
int operation_hang_up(struct operation *op, int spid, struct fault *f);

#endif
