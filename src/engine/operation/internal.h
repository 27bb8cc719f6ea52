/* internal.h: the state that the files of this room share; nobody else includes
 * it. */
#ifndef CONTREE_OPERATION_INTERNAL_H
#define CONTREE_OPERATION_INTERNAL_H

#include "base/fault.h"
#include "base/relay.h"
#include "base/uuid.h"
#include "layer/workspace.h"
#include "operation/engine.h"
#include "operation/events.h"
#include "operation/result.h"
#include "operation/spec.h"
#include "store/garbage.h"
#include "store/store.h"

struct operation;
struct warm_pool;

/* What differs between a run and an import. */
struct operation_kind {
    const char *name; /* as the API has it */
    bool makes_layer; /* its completion event has layer_bytes */
    /* Start it: its turn has come (queue.h). */
    void (*begin)(struct operation *op);
    /* End it as CANCELLED, now or later. */
    void (*cancel)(struct operation *op);
    /* End it: op->deadline has passed. NULL: it never sets one. */
    void (*expire)(struct operation *op);
    /* op->due has come. NULL: it never sets it. */
    void (*wake)(struct operation *op);
    /* Called by housekeeping.c while it is active. */
    void (*watch)(struct operation *op);
    /* Return 0 while its processes take orders; 425 before, 409 afterwards. */
    int (*check_orders)(const struct operation *op, struct fault *f);
    /* Keep what it uses from garbage collection. False: out of memory. */
    bool (*pin)(const struct operation *op, struct gc_pins *p);
    /* Free what only this kind has. */
    void (*free)(struct operation *op);
};

struct operation {
    const struct operation_kind *kind;
    struct operations *all;
    struct operation *next, *previous; /* active, newest first */
    int references; /* of the list, the queue, the sandbox, jobs */

    char uuid[UUID_SIZE];
    const char *status;
    struct fault fault;  /* why it failed; status 0: no failure */
    const char *limit;   /* the limit that ended it, or NULL */
    int64_t limit_value; /* how much that limit allows; 0: not a number */
    int64_t created, finished;
    char *request;   /* a JSON object */
    const char *tag; /* given to the image that it makes, or NULL */
    struct event_log *log;
    struct result result; /* of process 1; see operation_result() */
    bool recorded;        /* in the store, or being stored right now */
    bool listed, concluded, cancelled;
    double deadline;         /* monotonic seconds; 0: none */
    struct pausing *pausing; /* pause.c; NULL: it was never paused */
    bool paused;
    /* The clock of a run stands still while its processes do: clock.h. `due`,
     * on that clock, is what commands.c waits for; 0: nothing. */
    double stopped_at, stood_still, due;
    double idle_since;       /* of a box, on that clock; 0: a command runs */
    struct ports *ports;     /* ports.c; NULL: it never had any */
    struct untold *untold;   /* egress_reports.c; NULL: there were no reports */
    struct signing *signing; /* signing.c; NULL: nothing was to be signed */
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
    bool draining; /* the sandbox is gone; output is still to be read */
    struct sandbox *sandbox;
    struct durable_end *saved; /* waits for the sandbox to be gone; or NULL */
    struct workspace workspace;
    bool has_workspace, measuring;
    struct snapshot *snapshots; /* snapshot.c; of this box, the oldest first */
    bool reading;               /* one of them copies the workspace */
    size_t files_put; /* how many of run.files the sandbox was given */
    int64_t *layers;  /* those that its sandbox has mounted */
    size_t layer_count;
    /* Of the disk of the data directory, when the run started. */
    uint64_t free_at_start, inodes_at_start;
    struct process_entry *processes;
    int next_spid;
    int64_t layer_bytes; /* size of the layer that was made of it, or 0 */
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
    size_t count; /* operations that exist, active or not */
    struct queue runs, imports;
    struct squashing *squashing; /* squash.c */
    struct snapshot *snapshots;  /* snapshot.c: all of them */
    struct warm_pool *warm;
    struct pipes pipes; /* of relays */
    size_t relays;
    struct operation *squash_waiters;
    double squash_after, checkpoint_after, fold_after;
    bool stopping;
    uv_timer_t timer, housekeeping;
    double timer_due;
    bool cleaning, recycling, checkpointing, sparing;
    int open_handles;
    char kernel[64], machine[64];
};

/* operation.c */

struct operation *operation_new(struct operations *all,
                                const struct operation_kind *kind,
                                const char *key);
/* Add it to the active operations. */
void operation_enlist(struct operation *op);
void operation_unref(struct operation *op);
/* Note which limit ends it, and how much that allows (0: not a number). */
void operation_hit_limit(struct operation *op, const char *limit,
                         int64_t value);
/* Append the completion event with the final state, hidden until the operation
 * has ended. */
void operation_complete(struct operation *op, const char *status);
/* Remove it from the active operations and tell all who wait for its end. */
void operation_ended(struct operation *op);
/* Write the completion event, the row and the log, and end it. */
void operation_settle(struct operation *op, const char *status);

#endif
