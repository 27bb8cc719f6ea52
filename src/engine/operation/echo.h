/* echo.h: the request of a run as it was understood. */
#ifndef CONTREE_OPERATION_ECHO_H
#define CONTREE_OPERATION_ECHO_H

#include "operation/spec.h"

/* A JSON object with all defaults filled in; the caller frees. NULL without
 * memory. */
char *run_echo(const struct run *r);

#endif
