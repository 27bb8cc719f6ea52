/* echo.h: the request of a run, written back as it was understood. */
#ifndef CONTREE_OPERATION_ECHO_H
#define CONTREE_OPERATION_ECHO_H

#include "operation/spec.h"

/* Write a JSON object with all defaults filled in; the caller frees it. NULL:
 * out of memory. */
char *run_echo(const struct run *r);

#endif
