/* log.h: the engine's log. */
#ifndef CONTREE_BASE_LOG_H
#define CONTREE_BASE_LOG_H

#include "base/scope.h"

/* Writes one line to standard error, prefixed with the time. Never gets
 * a token, an environment value or the output of a command. */
void log_line(const char *format, ...) PRINTF_LIKE(1, 2);

#endif
