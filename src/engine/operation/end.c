/* end.c: see end.h. */
#include "operation/end.h"
#include "base/clock.h"
#include "base/turn.h"
#include "operation/internal.h"
#include "operation/pause.h"
#include "operation/ports.h"
#include "operation/processes.h"
#include "operation/queue.h"
#include "operation/save.h"
#include "operation/signing.h"
#include "operation/snapshot.h"
#include <signal.h>
#include <string.h>

bool operation_drain(struct operation *op) {
    bool first = true;
    for (struct process_entry *e = op->processes; e; e = e->next) {
        if (e->drained || !process_is_spawned(e->process))
            continue;
        if (!first && turn_is_long(op->all->engine->loop))
            return false;
        process_drain(e->process);
        e->drained = true;
        first = false;
    }
    return true;
}

/* The kernel stopped a write at max_layer_bytes. The run ends like any that
 * wrote too much, even if it removed the file or is not kept. */
static void judge_file_size(struct operation *op) {
    operation_hit_limit(op, "disk", op->run.max_layer_bytes);
    if (!op->fault.status && !op->cancelled)
        fault_set(
            &op->fault, 507,
            "a file of the run would have grown beyond max_layer_bytes = %lld",
            (long long)op->run.max_layer_bytes);
}

/* How many bytes or processes a limit of the sandbox allows; 0: not a number.
 */
static int64_t allowed(const struct limits *l, const char *limit) {
    for (int k = 0; k < CGROUP_KINDS; k++)
        if (limit_table[k].whole &&
            strcmp(limit, limit_table[k].controller) == 0)
            return (int64_t)l->of[k];
    return 0;
}

/* Read from the exit of the main process which limit it met. */
static void judge_main(struct operation *op) {
    struct process_entry *e = processes_find(op, 1);
    if (!e || !process_is_spawned(e->process)) {
        if (!op->fault.status && !op->cancelled)
            fault_set(&op->fault, 500,
                      "the command did not start within %lld seconds",
                      (long long)run_start_limit(&op->run));
        return;
    }
    const struct sandbox_exit *x = process_exit(e->process);
    if (op->timed_out && x->signal != SIGKILL)
        op->timed_out = false; /* it ended by itself just then */
    if (x->limit)
        operation_hit_limit(op, x->limit, allowed(&op->run.limits, x->limit));
    else if (op->timed_out)
        operation_hit_limit(op, "timeout", op->run.process.timeout);
    else if (x->signal == SIGXFSZ)
        judge_file_size(op);
    if (!process_has_exited(e->process) && !op->timed_out && !op->cancelled &&
        !op->fault.status)
        fault_set(&op->fault, 500, "the sandbox ended unexpectedly");
    if (op->run.process.held && x->code != 0 && !op->cancelled &&
        !op->fault.status)
        fault_set(&op->fault, 500, "the box was killed%s%s",
                  op->limit ? ", for it met its limit: " : "",
                  op->limit ? op->limit : "");
}

static void finish_processes(struct operation *op) {
    static const struct fault over = {409, "the operation has ended"};
    while (op->processes) {
        struct process_entry *e = op->processes;
        bool main = e->spid == 1;
        const char *rest = op->run.process.held ? "box" : NULL;
        process_finish(e->process, main && op->timed_out,
                       main ? op->limit : rest, main ? op->limit_value : 0);
        processes_tell_end(e);
        processes_answer(e, 0, &over);
        processes_remove(op, e);
    }
}

static const char *shutdown_reason(const struct operation *op) {
    return op->cancelled      ? "cancelled"
           : op->fault.status ? "failed"
           : op->timed_out    ? "timeout"
                              : "job_complete";
}

void operation_conclude(struct operation *op) {
    const struct fault *broken;
    op->concluded = true;
    op->deadline = 0;
    operation_dequeue(op);
    snapshots_end(op);
    pause_end(op);
    ports_end(op);
    signing_end(op);
    judge_main(op);
    if (op->cancelled)
        operation_hit_limit(op, "cancelled", 0);
    finish_processes(op);
    if (op->started) {
        struct buffer *b = event_begin(op->log, "shutdown", 0);
        json_add_time(b, "stopped_at", wall_microseconds());
        json_add_string(b, "reason", shutdown_reason(op));
        event_end(op->log);
    }
    broken = event_log_fault(op->log);
    if (broken && !op->fault.status)
        op->fault = *broken;
    if (op->cancelled)
        operation_settle(op, "CANCELLED");
    else if (op->fault.status)
        operation_settle(op, "FAILED");
    else if (op->run.disposable)
        operation_settle(op, "SUCCESS");
    else
        operation_save(op);
}

/* The list and the queue drop their references, which may be the last ones. */
void operation_conclude_unstarted(struct operation *op) {
    op->references++;
    operation_conclude(op);
    operation_drop_workspace(op);
    operation_unref(op);
}

void operation_fail(struct operation *op, const struct fault *why,
                    const char *limit, int64_t value) {
    if (op->concluded || op->fault.status)
        return;
    op->fault = *why;
    operation_hit_limit(op, limit, value);
    if (op->sandbox)
        sandbox_kill(op->sandbox);
    else
        operation_conclude_unstarted(op);
}
