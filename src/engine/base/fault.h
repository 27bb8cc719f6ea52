/* fault.h: a failure, in words. */
#ifndef CONTREE_BASE_FAULT_H
#define CONTREE_BASE_FAULT_H

#include "base/scope.h"

/* A failure, in words for the user, with the HTTP status that it becomes. Every
 * function that can fail takes one as its last argument, and returns -1, NULL
 * or false after filling it. Owned by the caller, usually on the stack. */
struct fault {
    int status;
    char message[480];
};

/* Fill `f` (may be NULL) and return -1. */
int fault_set(struct fault *f, int status, const char *format, ...)
    PRINTF_LIKE(3, 4);
/* The same for "out of memory": 500, since 507 says that the disk is full. */
int fault_memory(struct fault *f);
/* The same, with ": strerror(errno)" appended. The status is 507 for ENOSPC and
 * EDQUOT, 503 for EMFILE and ENFILE, else 500. */
int fault_errno(struct fault *f, const char *format, ...) PRINTF_LIKE(2, 3);

/* The same for a path that the client chose: 404 if it does not exist, 403 if
 * it may not be used, 422 if it is of another kind. */
int fault_path(struct fault *f, const char *format, ...) PRINTF_LIKE(2, 3);

/* What to do when the engine runs out of descriptors. */
#define DESCRIPTORS_FIX                                                        \
    "Fix: let the engine have more of them (ulimit -n 4096 before it starts, " \
    "LimitNOFILE= of its systemd unit)"

#endif
