/* gc_command.h: contree-engine gc. */
#ifndef CONTREE_GC_COMMAND_H
#define CONTREE_GC_COMMAND_H

#include "options.h"

/* Collects garbage and prints what went: by itself, or by the engine that
 * serves the data directory. */
int gc_command(const struct options *o, struct fault *f);

#endif
