/* orders.c: orders to the processes of a run; see operation.h and orders.h. */
#include "operation/orders.h"
#include "base/descriptor.h"
#include "operation/commands.h"
#include "operation/operation.h"
#include "operation/pause.h"
#include "operation/processes.h"
#include <signal.h>

static int check_spawn(const struct operation *op, struct fault *f) {
    if (op->kind->check_orders(op, f) < 0)
        return -1;
    return operation_is_pausing(op) && !pause_is_held(op)
               ? fault_set(f, 409,
                           "the operation is paused, so it starts no process; "
                           "resume it first")
               : 0;
}

static int keep_result(struct process_entry *e, struct fault *f) {
    e->result = calloc(1, sizeof *e->result);
    if (!e->result)
        return fault_memory(f);
    result_init(e->result, RESULT_KEPT_MAX);
    return 0;
}

int operation_spawn(struct operation *op, struct run_process *run,
                    struct spawn_waiter *w, struct fault *f) {
    struct process_entry *e =
        check_spawn(op, f) < 0 ? NULL : processes_add(op, f);
    if (!e) {
        run_process_clear(run);
        return -1;
    }
    e->run = *run;
    *run = (struct run_process){0};
    if (!*e->run.cwd)
        e->run.cwd = op->run.process.cwd;
    if (e->run.image_user)
        e->run.user = op->image.user;
    if (w->ended && keep_result(e, f) < 0) {
        processes_remove(op, e);
        return -1;
    }
    e->waiter = w;
    e->deferred = pause_is_held(op);
    if (!e->deferred && processes_start(op, e, &e->run, f) < 0) {
        processes_remove(op, e);
        return -1;
    }
    commands_settle(op);
    return 0;
}

void operation_forget_spawn(struct operation *op, struct spawn_waiter *w,
                            bool kill) {
    struct process_entry *e = op->processes;
    struct fault f;
    while (e && e->waiter != w)
        e = e->next;
    if (!e)
        return;
    e->waiter = NULL;
    e->unwanted = kill;
    if (kill && process_is_spawned(e->process))
        operation_signal(op, e->spid, SIGKILL, true, &f);
}

/* One that has ended is in the log only. */
static bool has_ended(const struct operation *op, int spid) {
    return !processes_find(op, spid) && spid > 0 && spid < op->next_spid;
}

static int missing(const struct operation *op, int spid, struct fault *f) {
    if (has_ended(op, spid))
        return fault_set(f, 409, "process %d has ended", spid);
    return fault_set(f, 404, "the operation has no process %d", spid);
}

/* Find a process that has been started. */
static struct process_entry *check_process(const struct operation *op, int spid,
                                           struct fault *f) {
    struct process_entry *e = processes_find(op, spid);
    if (op->kind->check_orders(op, f) < 0)
        return NULL;
    if (e && process_is_spawned(e->process))
        return e;
    missing(op, spid, f);
    return NULL;
}

static int defer_signal(struct operation *op, int spid, int signal, bool family,
                        struct fault *f) {
    struct process_entry *e = processes_find(op, spid);
    if (!e)
        return fault_set(f, 503, "a snapshot is being made: try again");
    e->signals |= UINT64_C(1) << (signal - 1);
    e->to_family = e->to_family || family;
    return 0;
}

static void start_deferred(struct operation *op, struct process_entry *e) {
    struct fault f;
    e->deferred = false;
    if (check_spawn(op, &f) == 0 && processes_start(op, e, &e->run, &f) == 0)
        return;
    processes_answer(e, 0, &f);
    processes_remove(op, e);
}

static void signal_deferred(struct operation *op, struct process_entry *e) {
    uint64_t signals = e->signals;
    struct fault f;
    e->signals = 0;
    for (int signal = 1; signals; signal++, signals >>= 1)
        if (signals & 1)
            operation_signal(op, e->spid, signal, e->to_family, &f);
}

void orders_go_on(struct operation *op) {
    for (struct process_entry *e = op->processes, *after; e; e = after) {
        after = e->next;
        if (e->signals)
            signal_deferred(op, e);
        if (e->deferred)
            start_deferred(op, e);
    }
    commands_settle(op);
}

int operation_signal(struct operation *op, int spid, int signal, bool family,
                     struct fault *f) {
    bool ended = has_ended(op, spid) && op->kind->check_orders(op, f) == 0;
    if (!ended && !check_process(op, spid, f))
        return -1;
    if (ended && !family)
        return 0;
    if (pause_is_held(op))
        return defer_signal(op, spid, signal, family, f);
    /* A frozen init could not carry it out. */
    if (signal == SIGKILL && operation_resume(op, f) < 0)
        return -1;
    return family ? sandbox_signal_family(op->sandbox, spid, signal, f)
                  : sandbox_signal(op->sandbox, spid, signal, f);
}

int operation_write(struct operation *op, int spid, const void *data,
                    size_t length, bool close, struct fault *f) {
    struct process_entry *e = check_process(op, spid, f);
    return e ? process_write(e->process, data, length, close, f) : -1;
}

ssize_t operation_stream(struct operation *op, int spid, const void *data,
                         size_t length, struct input_waiter *w,
                         struct fault *f) {
    struct process_entry *e = check_process(op, spid, f);
    return e ? process_stream(e->process, data, length, w, f) : -1;
}

void operation_unwait_input(struct operation *op, int spid,
                            struct input_waiter *w) {
    struct process_entry *e = processes_find(op, spid);
    if (e)
        process_unwait(e->process, w);
}

int operation_feed(struct operation *op, int spid, int file, off_t offset,
                   struct fault *f) {
    struct process_entry *e = check_process(op, spid, f);
    if (e)
        return process_feed(e->process, file, offset, f);
    close_fd(file);
    return -1;
}

int operation_resize(struct operation *op, int spid, unsigned rows,
                     unsigned columns, struct fault *f) {
    struct process_entry *e = check_process(op, spid, f);
    return e ? process_resize(e->process, rows, columns, f) : -1;
}

int operation_hang_up(struct operation *op, int spid, struct fault *f) {
    if (spid == 1 && op->run.process.held)
        return operation_cancel(op, f);
    struct process_entry *e = processes_find(op, spid);
    if (e)
        return process_hang_up(e->process, f);
    if (spid == 1 && op->run.process.terminal.rows)
        return operation_cancel(op, f);
    return missing(op, spid, f);
}
