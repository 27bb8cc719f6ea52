/* internal.h: what the files of this room share; nobody else includes it. */
#ifndef CONTREE_OPERATION_INTERNAL_H
#define CONTREE_OPERATION_INTERNAL_H

#include "base/fault.h"
#include "base/uuid.h"
#include "base/work.h"
#include "layer/gc.h"
#include "layer/layers.h"
#include "operation/operation.h"
#include "operation/process.h"

/* A process and what it borrows from. */
struct process_entry {
    struct process_entry *next;
    struct process *process;
    bool drained;
    int spid;
    struct run_process run; /* of subprocesses; the main one uses op->run */
    struct spawn_waiter *waiter;
};

struct import; /* import.c */

struct operation {
    struct operations *all;
    struct operation *next, *previous; /* active, newest first */
    struct operation *queue_next; /* in the queue, or among squash_waiters */
    bool queued;                  /* in the queue */
    struct client *client;        /* who asked for the run; of imports NULL */
    int references;               /* the list's, the sandbox's, a job's */

    char uuid[UUID_SIZE];
    const char *kind, *status;
    struct fault fault; /* why it failed; status 0: it did not */
    const char *limit;  /* which limit ended it, or NULL */
    bool layer_full;    /* that is "disk", for max_layer_bytes */
    int64_t created, finished;
    struct run run;
    struct import *import; /* what to import, or NULL: this is a run */
    char *request;         /* its members as JSON */
    struct image image;
    json_t *image_env;    /* preserved variables of the image, or NULL */
    char (*contents)[65]; /* SHA-256 of run.files */
    struct event_log *log;

    bool recorded; /* in the store, or being stored right now */
    bool listed;
    bool started, concluded, cancelled, timed_out;
    bool draining; /* its sandbox is gone, its output not all in the log */
    struct sandbox *sandbox;
    struct workspace workspace;
    bool has_workspace, measuring;
    size_t files_put; /* of run.files: those that were ordered */
    int64_t *layers;  /* that its sandbox has mounted */
    size_t layer_count;
    /* Of the data directory's file system. */
    uint64_t free_at_start, inodes_at_start;
    struct process_entry *processes;
    int next_spid;
    double deadline; /* monotonic seconds; 0 none */
    struct operation_waiter *waiters;

    char result_image[UUID_SIZE];
    int64_t image_size;
    int64_t layer_bytes; /* that it wrote, where a layer was made of them */
    double cpu;
    int64_t memory; /* KiB */
};

struct operations {
    struct engine *engine;
    struct operation *active;
    struct operation *queue, **queue_end;
    size_t queued;          /* in it */
    struct client *clients; /* queue.c */
    size_t count;           /* that exist, listed or not */
    size_t running;         /* that have a sandbox */
    size_t importing;
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
struct operation *operation_new(struct operations *all, const char *kind,
                                const char *key);
/* Puts it on the list of the active. */
void operation_enlist(struct operation *op);
void operation_unref(struct operation *op);
/* Tells all waiters that it has ended, and takes it off the list. */
void operation_ended(struct operation *op);
/* Appends the completion event with the final state, unseen yet. */
void operation_complete(struct operation *op, const char *status);
/* The completion event, the row and the log; then it is over. */
void operation_settle(struct operation *op, const char *status);

/* schedule.c: wakes the timer for `deadline` at the latest. */
void operations_due(struct operations *all, double deadline);

/* queue.c: `id` is the same for all runs of one client. False without
 * memory. */
bool operation_set_client(struct operation *op, long id);
void operation_drop_client(struct operation *op);
/* It has a sandbox, and has it no more. */
void operation_take_place(struct operation *op);
void operation_leave_place(struct operation *op);
bool operations_have_place(const struct operations *all);
/* 429 when one more may not wait, or says that it does not. */
int operations_check_queue(const struct operations *all, const struct run *run,
                           struct fault *f);
/* It begins when its turn comes. */
void operation_enqueue(struct operation *op);
/* Takes it off the queue, if it is there. */
void operation_dequeue(struct operation *op);
/* A sandbox is gone: the next one may come. */
void operations_next(struct operations *all);
/* Ends one that waited for longer than it may. */
void operation_overdue(struct operation *op);

/* run.c: 0 also when it has to wait for its layers to be squashed. */
int operation_begin(struct operation *op, struct fault *f);
/* Its time is up. */
void operation_expire(struct operation *op);

/* processes.c */
struct process_entry *operation_find_process(const struct operation *op,
                                             int spid);
struct process_entry *operation_add_process(struct operation *op,
                                            struct fault *f);
void operation_remove_process(struct operation *op, struct process_entry *e);
int operation_start_process(struct operation *op, struct process_entry *e,
                            const struct run_process *run, struct fault *f);
void operation_answer_spawn(struct process_entry *e, int spid,
                            const struct fault *why);

/* end.c */
void operation_count_usage(struct operation *op, const struct sandbox_exit *e);
/* Takes the output of its processes, as far as others need not wait; true when
 * that is all. */
bool operation_drain(struct operation *op);
/* How much the limit allowed: bytes, processes, seconds; 0: not a number. */
int64_t operation_limit_value(const struct operation *op);
/* All output is in the log. */
void operation_conclude(struct operation *op);
/* Of an operation without a sandbox. */
void operation_conclude_unstarted(struct operation *op);
/* Ends one that could not begin. */
void operation_fail(struct operation *op, const struct fault *why);
/* Ends its sandbox because of `why`, which becomes its fault. */
void operation_abort(struct operation *op, const char *limit,
                     const struct fault *why);

/* disk.c */
void operation_note_free_space(struct operation *op);
void operations_watch_disk(struct operations *all);
/* 507 when it wrote more bytes than its limit, or more names than that has room
 * for: an empty file takes none of the bytes, but an inode. */
int operation_check_layer(const struct operation *op, int64_t bytes,
                          int64_t entries, struct fault *f);
#define LAYER_BYTES_A_NAME 4096
#define LAYER_NAMES_MIN 1024

/* save.c: publishes what it wrote, then settles it. */
void operation_save(struct operation *op);
/* Ends it as a success, durably: its result image is safe already. */
void operation_succeed(struct operation *op);
/* Gives its workspace back, if it has one. */
void operation_drop_workspace(struct operation *op);

/* squash.c: squashes a chain if it is due; true: takes it over. */
bool operations_squash(struct operations *all, struct chain_layer *chain,
                       size_t count);
/* Has it squashed, and begins again; takes `chain` over. */
int operation_await_squash(struct operation *op, struct chain_layer *chain,
                           size_t count, struct fault *f);
void operations_stop_squash(struct operations *all);
bool operations_pin_squash(const struct operations *all, struct gc_pins *p);

/* import.c */
void operation_cancel_import(struct operation *op);
/* Appends progress events. */
void operations_report_imports(struct operations *all);
void import_free(struct import *i);
const char *import_tag(const struct import *i);

#endif
