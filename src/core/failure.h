/* failure.h: what went wrong in a transfer, found on our side of libcurl. */
#ifndef CONTREE_FAILURE_H
#define CONTREE_FAILURE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

/* kind: NULL, or one of the error kinds of a transfer's result (a string
 * constant); message: one line for a person. */
struct failure {
    const char *kind;
    char message[256];
};

/* Notes a failure, unless there is one already: the first is the cause.
 * Returns false, so that callers can end with it. */
__attribute__((format(printf, 3, 4))) static inline bool
fail(struct failure *failure, const char *kind, const char *format, ...) {
    va_list arguments;

    if (failure->kind)
        return false;
    failure->kind = kind;
    va_start(arguments, format);
    vsnprintf(failure->message, sizeof failure->message, format, arguments);
    va_end(arguments);
    return false;
}

#endif
