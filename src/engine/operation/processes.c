/* processes.c: see processes.h. */
#include "operation/processes.h"
#include "base/scope.h"
#include "operation/operation.h"
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
    if (e->result)
        result_clear(e->result);
    free(e->result);
    run_process_clear(&e->run);
    free(e);
}

int processes_start(struct operation *op, struct process_entry *e,
                    const struct run_process *run, struct fault *f) {
    e->process = process_start(op, e->spid, run,
                               e->spid == 1 ? &op->result : e->result, f);
    return e->process ? 0 : -1;
}

void processes_answer(struct process_entry *e, int spid,
                      const struct fault *why) {
    struct spawn_waiter *w = e->waiter;
    if (w && (why || !w->ended))
        e->waiter = NULL;
    if (w)
        w->started(w, spid, why);
}

void processes_tell_end(struct process_entry *e) {
    struct spawn_waiter *w = e->waiter;
    if (!w || !w->ended || !process_is_spawned(e->process))
        return;
    e->waiter = NULL;
    w->ended(w, e->result);
}

int processes_check_orders(const struct operation *op, struct fault *f) {
    struct process_entry *e = processes_find(op, 1);
    if (op->concluded || op->cancelled || op->timed_out ||
        (e && process_has_exited(e->process)))
        return fault_set(f, 409, "the operation is not running any more");
    if (!e || !process_is_spawned(e->process))
        return fault_set(f, 425, "the operation has not started yet");
    return 0;
}
