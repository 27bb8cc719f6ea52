/* commands.c: see commands.h. */
#include "operation/commands.h"
#include "operation/schedule.h"
#include <math.h>
#include <signal.h>

static bool is_running(const struct process_entry *e) {
    return e->spid > 1 && !(e->process && process_has_exited(e->process));
}

void commands_begin(struct operation *op, struct process_entry *e) {
    if (e->unwanted)
        sandbox_signal_family(op->sandbox, e->spid, SIGKILL, NULL);
    if (e->run.timeout)
        e->until = operation_clock(op) + (double)e->run.timeout;
    commands_settle(op);
}

void commands_settle(struct operation *op) {
    double due = INFINITY;
    bool busy = op->snapshots != NULL;
    for (const struct process_entry *e = op->processes; e; e = e->next) {
        busy = busy || is_running(e);
        if (is_running(e) && e->until && !e->timed_out && e->until < due)
            due = e->until;
    }
    if (busy)
        op->idle_since = 0;
    else if (!op->idle_since)
        op->idle_since = operation_clock(op);
    if (op->run.process.held && op->idle_since &&
        op->idle_since + op->run.idle_timeout < due)
        due = op->idle_since + op->run.idle_timeout;
    operations_due_run(op, isfinite(due) && !op->concluded ? due : 0);
}

static void end_overdue(struct operation *op, double now) {
    for (struct process_entry *e = op->processes; e; e = e->next) {
        if (!is_running(e) || !e->until || e->until > now || e->timed_out)
            continue;
        e->timed_out = true;
        sandbox_signal_family(op->sandbox, e->spid, SIGKILL, NULL);
    }
}

bool commands_wake(struct operation *op) {
    double now = operation_clock(op);
    op->due = 0;
    if (op->concluded || !op->sandbox)
        return false;
    end_overdue(op, now);
    if (op->run.process.held && op->idle_since &&
        op->idle_since + op->run.idle_timeout <= now)
        return true;
    commands_settle(op);
    return false;
}
