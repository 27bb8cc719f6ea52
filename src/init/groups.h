/* groups.h: the control groups of a sandbox. */
#ifndef CONTREE_INIT_GROUPS_H
#define CONTREE_INIT_GROUPS_H

#include "init/failure.h"

/* Joins the group of each descriptor (ORDER_SETUP): cheaper than being moved
 * by the engine. */
int groups_join(const int *fds, unsigned count, struct failure *f);
/* Makes /proc/self/cgroup begin at the groups that were joined. */
int groups_hide(struct failure *f);

#endif
