/* internal.h: the state that the files of this room share; nobody else includes
 * it. */
#ifndef CONTREE_OPERATION_INTERNAL_H
#define CONTREE_OPERATION_INTERNAL_H

#include "base/fault.h"
#include "base/uuid.h"
#include "layer/layers.h"
#include "operation/engine.h"
#include "operation/events.h"
#include "operation/spec.h"
#include "store/garbage.h"
#include "store/store.h"

struct operation;

/* What differs between a run and an import. */
struct operation_kind {
    const char *name; /* as the API has it */
    bool makes_layer; /* its completion says how large that is */
    /* Its turn has come (queue.h). */
    void (*begin)(struct operation *op);
    /* Ends it as CANCELLED, now or later. */
    void (*cancel)(struct operation *op);
    /* op->deadline has passed. NULL: it sets none. */
    void (*expire)(struct operation *op);
    /* Called now and then while it is active. */
    void (*watch)(struct operation *op);
    /* 0 when its processes take orders, 425 before, 409 afterwards. */
    int (*check_orders)(const struct operation *op, struct fault *f);
    /* Keeps what it uses from garbage collection. False without memory. */
    bool (*pin)(const struct operation *op, struct gc_pins *p);
    /* Frees what only this kind has. */
    void (*free)(struct operation *op);
};

struct operation {
    const struct operation_kind *kind;
    struct operations *all;
    struct operation *next, *previous; /* active, newest first */
    int references; /* the list's, the queue's, the sandbox's, a job's */

    char uuid[UUID_SIZE];
    const char *status;
    struct fault fault;  /* why it failed; status 0: it did not */
    const char *limit;   /* which limit ended it, or NULL */
    int64_t limit_value; /* how much that allowed; 0: not a number */
    int64_t created, finished;
    char *request;   /* its members as JSON */
    const char *tag; /* of the image that it makes, or NULL */
    struct event_log *log;
    bool recorded; /* in the store, or being stored right now */
    bool listed, concluded, cancelled;
    double deadline; /* monotonic seconds; 0 none */
    struct operation_waiter *waiters;
    char result_image[UUID_SIZE];
    int64_t image_size;

    /* queue.c; squash.c uses queue_next while it is in no queue. */
    struct queue *queue;
    struct operation *queue_next;
    bool queued;
    struct client *client;

    struct import *import; /* import.c */

    /* Of a run only. */
    struct run run;
    struct image image;
    json_t *image_env;    /* preserved variables of the image, or NULL */
    char (*contents)[65]; /* SHA-256 of run.files */
    bool started, timed_out;
    bool draining; /* its sandbox is gone, its output not all in the log */
    struct sandbox *sandbox;
    struct workspace workspace;
    bool has_workspace, measuring;
    size_t files_put; /* of run.files: those that were ordered */
    int64_t *layers;  /* that its sandbox has mounted */
    size_t layer_count;
    uint64_t free_at_start, inodes_at_start; /* of the data directory's disk */
    struct process_entry *processes;
    int next_spid;
    int64_t layer_bytes; /* that it wrote, where a layer was made of them */
    double cpu;
    int64_t memory; /* KiB */
};

/* Operations of one kind that wait for their turn; see queue.h. */
struct queue {
    struct operations *all;
    struct operation *first, **end;
    size_t waiting, running, places;
    struct client *clients;
};

struct operations {
    struct engine *engine;
    struct operation *active;
    size_t count; /* that exist, listed or not */
    struct queue runs, imports;
    struct squashing *squashing; /* squash.c */
    struct operation *squash_waiters;
    double squash_after, checkpoint_after;
    bool stopping;
    uv_timer_t timer, housekeeping;
    double timer_due;
    bool cleaning, checkpointing;
    int open_handles;
    char kernel[64], machine[64];
};

/* operation.c */

struct operation *operation_new(struct operations *all,
                                const struct operation_kind *kind,
                                const char *key);
/* Puts it on the list of the active. */
void operation_enlist(struct operation *op);
void operation_unref(struct operation *op);
/* Notes which limit ends it. */
void operation_hit_limit(struct operation *op, const char *limit,
                         int64_t value);
/* Appends the completion event with the final state, unseen yet. */
void operation_complete(struct operation *op, const char *status);
/* Tells all waiters that it has ended, and takes it off the list. */
void operation_ended(struct operation *op);
/* The completion event, the row and the log; then it is over. */
void operation_settle(struct operation *op, const char *status);

#endif
