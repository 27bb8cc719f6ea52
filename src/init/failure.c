#include "init/failure.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int fail(struct failure *f, int status, const char *format, ...) {
    va_list args;
    va_start(args, format);
    f->status = status;
    vsnprintf(f->message, sizeof f->message, format, args);
    va_end(args);
    return -1;
}

int fail_errno(struct failure *f, const char *format, ...) {
    int error = errno;
    va_list args;
    va_start(args, format);
    f->status = error == ENOSPC || error == EDQUOT ? 507 : 500;
    vsnprintf(f->message, sizeof f->message, format, args);
    va_end(args);
    size_t used = strlen(f->message);
    snprintf(f->message + used, sizeof f->message - used, ": %s",
             strerror(error));
    errno = error;
    return -1;
}
