/* gc.h: the garbage collection of an engine that serves. */
#ifndef CONTREE_API_GC_H
#define CONTREE_API_GC_H

#include "operation/engine.h"
#include <stdbool.h>

/* Begins to collect garbage, with the usual ages, if that was not done today;
 * true when it did. */
bool gc_when_due(struct engine *e);

#endif
