/* processes.c: see processes.h; and the orders of operation.h. */
#include "operation/processes.h"
#include "base/descriptor.h"
#include "base/scope.h"
#include "operation/internal.h"
#include "operation/operation.h"
#include "operation/pause.h"
#include <signal.h>
#include <stdlib.h>

struct process_entry *processes_find(const struct operation *op, int spid) {
    struct process_entry *e = op->processes;
    while (e && e->spid != spid)
        e = e->next;
    return e;
}

struct process_entry *processes_add(struct operation *op, struct fault *f) {
    struct process_entry *e = calloc(1, sizeof *e);
    if (!e) {
        fault_memory(f);
        return NULL;
    }
    e->spid = op->next_spid++;
    e->next = op->processes;
    op->processes = e;
    return e;
}

void processes_remove(struct operation *op, struct process_entry *e) {
    struct process_entry **p = &op->processes;
    while (*p != e)
        p = &(*p)->next;
    *p = e->next;
    process_free(e->process);
    run_process_clear(&e->run);
    free(e);
}

int processes_start(struct operation *op, struct process_entry *e,
                    const struct run_process *run, struct fault *f) {
    e->process = process_start(op, e->spid, run, f);
    return e->process ? 0 : -1;
}

void processes_answer(struct process_entry *e, int spid,
                      const struct fault *why) {
    struct spawn_waiter *w = steal_pointer(&e->waiter);
    if (w)
        w->started(w, spid, why);
}

/* ---- orders to its processes ---- */

int processes_check_orders(const struct operation *op, struct fault *f) {
    struct process_entry *e = processes_find(op, 1);
    if (op->concluded || op->cancelled || op->timed_out ||
        (e && process_has_exited(e->process)))
        return fault_set(f, 409, "the operation is not running any more");
    if (!e || !process_is_spawned(e->process))
        return fault_set(f, 425, "the operation has not started yet");
    return 0;
}

static int check_spawn(const struct operation *op, struct fault *f) {
    if (op->kind->check_orders(op, f) < 0)
        return -1;
    return operation_is_pausing(op)
               ? fault_set(f, 409,
                           "the operation is paused, so it starts no process; "
                           "resume it first")
               : 0;
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
    if (processes_start(op, e, &e->run, f) < 0) {
        processes_remove(op, e);
        return -1;
    }
    e->waiter = w;
    return 0;
}

void operation_forget_spawn(struct operation *op, struct spawn_waiter *w) {
    for (struct process_entry *e = op->processes; e; e = e->next)
        if (e->waiter == w)
            e->waiter = NULL;
}

/* Find a process that has been started. */
static struct process_entry *check_process(const struct operation *op, int spid,
                                           struct fault *f) {
    struct process_entry *e = processes_find(op, spid);
    if (op->kind->check_orders(op, f) < 0)
        return NULL;
    if (e && process_is_spawned(e->process))
        return e;
    fault_set(f, 404, "the operation has no process %d", spid);
    return NULL;
}

int operation_signal(struct operation *op, int spid, int signal,
                     struct fault *f) {
    struct process_entry *e = check_process(op, spid, f);
    if (!e)
        return -1;
    if (process_has_exited(e->process))
        return 0;
    /* A frozen init could not carry it out. */
    if (signal == SIGKILL && operation_resume(op, f) < 0)
        return -1;
    return sandbox_signal(op->sandbox, spid, signal, f);
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
    struct process_entry *e = processes_find(op, spid);
    if (e)
        return process_hang_up(e->process, f);
    if (spid == 1 && op->run.process.terminal.rows)
        return operation_cancel(op, f);
    return fault_set(f, 404, "the operation has no process %d", spid);
}
