/* program.h: the programs that travel inside the engine, as files that can be
 * executed. */
#ifndef CONTREE_SANDBOX_PROGRAM_H
#define CONTREE_SANDBOX_PROGRAM_H

#include "base/fault.h"

/* A file in memory that nobody can change. -1 with the fault. */
int program_unpack_init(struct fault *f);
int program_unpack_airlock(struct fault *f);

#endif
