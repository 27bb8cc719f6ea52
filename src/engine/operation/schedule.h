/* schedule.h: the deadlines of operations and of those who wait for them. */
#ifndef CONTREE_OPERATION_SCHEDULE_H
#define CONTREE_OPERATION_SCHEDULE_H

struct operations;
/* Looks at all deadlines at `deadline` (monotonic seconds) at the latest. */
void operations_due(struct operations *all, double deadline);

#endif
