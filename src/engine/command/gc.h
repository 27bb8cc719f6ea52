/* gc.h: contree-engine gc. */
#ifndef CONTREE_COMMAND_GC_H
#define CONTREE_COMMAND_GC_H

#include "base/fault.h"
#include "command/options.h"

/* Collect garbage, or let the engine do it that serves the data directory, and
 * print what was removed. */
int gc_command(const struct options *o, struct fault *f);

#endif
