/* schedule.h: one timer for the deadlines of operations and of their waiters.
 */
#ifndef CONTREE_OPERATION_SCHEDULE_H
#define CONTREE_OPERATION_SCHEDULE_H

struct operations;
struct operation;
/* Look at all deadlines at `deadline` (monotonic seconds) at the latest. */
void operations_due(struct operations *all, double deadline);

/* The clock of a run, which stands still while the run is paused: seconds. */
double operation_clock(const struct operation *op);
void operation_stop_clock(struct operation *op);
void operation_start_clock(struct operation *op);
/* Have kind->wake() called when its clock shows `due`; 0: never. */
void operations_due_run(struct operation *op, double due);

#endif
