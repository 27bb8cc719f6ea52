/* confine.h: giving up what the airlock does not need once it is set up: it
 * reads what a sandbox sends. */
#ifndef CONTREE_AIRLOCK_CONFINE_H
#define CONTREE_AIRLOCK_CONFINE_H

#include "base/fault.h"

/* Drops all capabilities, for good; becomes "nobody" if it is root; lets nobody
 * look into its memory; and filters its system calls. Before other threads
 * begin. */
int confine(struct fault *f);

#endif
