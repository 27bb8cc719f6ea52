/* fault.c: see fault.h. */
#define _GNU_SOURCE
#include "base/fault.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int fault_set(struct fault *f, int status, const char *format, ...) {
    if (f) {
        va_list args;
        va_start(args, format);
        f->status = status;
        vsnprintf(f->message, sizeof f->message, format, args);
        va_end(args);
    }
    return -1;
}

int fault_memory(struct fault *f) {
    return fault_set(f, 500, "out of memory");
}

static int fault_error(struct fault *f, int status, int error,
                       const char *format, va_list args) {
    char text[128];
    if (f) {
        f->status = error == ENOSPC || error == EDQUOT   ? 507
                    : error == EMFILE || error == ENFILE ? 503
                                                         : status;
        vsnprintf(f->message, sizeof f->message, format, args);
        size_t used = strlen(f->message);
        snprintf(f->message + used, sizeof f->message - used, ": %s%s",
                 strerror_r(error, text, sizeof text),
                 error == EMFILE ? ". " DESCRIPTORS_FIX : "");
    }
    errno = error;
    return -1;
}

int fault_errno(struct fault *f, const char *format, ...) {
    int error = errno;
    va_list args;
    va_start(args, format);
    fault_error(f, 500, error, format, args);
    va_end(args);
    return -1;
}

/* The status for a path that the client chose. */
static int path_status(int error) {
    switch (error) {
    case ENOENT:
    case ENOTDIR:
    case ENAMETOOLONG:
        return 404;
    case EACCES:
    case EPERM:
    case EROFS:
        return 403;
    case EISDIR:
    case ELOOP:
    case EINVAL:
    case ENXIO:
    case ENODEV:
        return 422;
    default:
        return 500;
    }
}

int fault_path(struct fault *f, const char *format, ...) {
    int error = errno;
    va_list args;
    va_start(args, format);
    fault_error(f, path_status(error), error, format, args);
    va_end(args);
    return -1;
}
