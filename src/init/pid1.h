/* pid1.h: PID 1 of a sandbox: carries out orders, sends reports, reaps zombies.
 * It believes its control socket and nothing else. */
#ifndef CONTREE_INIT_PID1_H
#define CONTREE_INIT_PID1_H

#include "init/spec.h"

/* Carries out orders until the main process has ended. The first order is to
 * enter a root, unless `limits` is NULL: then the process is in it. */
_Noreturn void pid1_main(int control, const struct cell_limits *limits);

#endif
