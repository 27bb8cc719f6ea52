/* processes.h: the processes of a run, by spid; 1 is the main one. */
#ifndef CONTREE_OPERATION_PROCESSES_H
#define CONTREE_OPERATION_PROCESSES_H

#include "operation/internal.h"
#include "operation/process.h"

/* A process, and the request that it borrows from. */
struct process_entry {
    struct process_entry *next;
    struct process *process;
    bool drained;
    int spid;
    struct run_process run; /* of subprocesses; the main one uses op->run */
    struct spawn_waiter *waiter;
    struct result *result; /* of one whose end is waited for; or NULL */
    bool unwanted;         /* kill it when it has started */
    double until; /* its time limit, on the clock of the run; 0: none */
    bool timed_out;
    /* Orders that wait while a snapshot has stopped all processes: orders.h. */
    bool deferred;    /* its start */
    uint64_t signals; /* a bit each */
    bool to_family;
};

struct process_entry *processes_find(const struct operation *op, int spid);
/* Add a process with the next spid, not started yet. */
struct process_entry *processes_add(struct operation *op, struct fault *f);
void processes_remove(struct operation *op, struct process_entry *e);
int processes_start(struct operation *op, struct process_entry *e,
                    const struct run_process *run, struct fault *f);
/* Tell the waiter for its start, if there is one. */
void processes_answer(struct process_entry *e, int spid,
                      const struct fault *why);
/* Tell the waiter for its end, if there is one and it was started. */
void processes_tell_end(struct process_entry *e);

/* 425 before the main process runs, 409 after its end. */
int processes_check_orders(const struct operation *op, struct fault *f);

#endif
