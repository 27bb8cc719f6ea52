/* transfer_error.h: what went wrong in a transfer. */
#ifndef CONTREE_TRANSFER_ERROR_H
#define CONTREE_TRANSFER_ERROR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

struct transfer_error {
    const char *kind;  /* NULL, or one of those in transfer.h: a constant */
    char message[256]; /* one line, for a person */
};

/* Keeps the error, unless there is one already: the first is the cause.
 * Returns false, so that callers can end with it. */
__attribute__((format(printf, 3, 4))) static inline bool
fail(struct transfer_error *error, const char *kind, const char *format, ...) {
    va_list arguments;
    if (error->kind)
        return false;
    error->kind = kind;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    return false;
}

#endif
