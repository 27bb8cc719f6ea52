/* schedule.h: one timer for the deadlines of operations and of their waiters.
 */
#ifndef CONTREE_OPERATION_SCHEDULE_H
#define CONTREE_OPERATION_SCHEDULE_H

struct operations;
/* Look at all deadlines at `deadline` (monotonic seconds) at the latest. */
void operations_due(struct operations *all, double deadline);

#endif
