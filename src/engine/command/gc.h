/* gc.h: contree-engine gc. */
#ifndef CONTREE_COMMAND_GC_H
#define CONTREE_COMMAND_GC_H

#include "base/fault.h"
#include "command/options.h"

/* Collects garbage and prints what went: by itself, or by the engine that
 * serves the data directory. */
int gc_command(const struct options *o, struct fault *f);

#endif
