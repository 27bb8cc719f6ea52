/* log.h: the engine's log. */
#ifndef CONTREE_BASE_LOG_H
#define CONTREE_BASE_LOG_H

#include "base/scope.h"

/* Write one line to standard error, after the time. Never log a token, a value
 * of the environment or the output of a command. */
void log_line(const char *format, ...) PRINTF_LIKE(1, 2);

#endif
