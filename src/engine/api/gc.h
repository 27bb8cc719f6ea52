/* gc.h: the garbage collection of an engine that serves. */
#ifndef CONTREE_API_GC_H
#define CONTREE_API_GC_H

#include "operation/engine.h"
#include <stdbool.h>

/* Start to collect garbage, by the default ages, if the last time was a day
 * ago. True if it was started. */
bool gc_when_due(struct engine *e);

#endif
