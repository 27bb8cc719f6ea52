/* fault.h: what went wrong, in words. */
#ifndef CONTREE_BASE_FAULT_H
#define CONTREE_BASE_FAULT_H

#include "base/scope.h"

/* What went wrong, in words for the user, with the HTTP status it becomes.
 * Every function that can fail takes one as its last argument and returns -1,
 * NULL or false after filling it. Owned by the caller, usually on the stack. */
struct fault {
    int status;
    char message[480];
};

/* Fills `f` (may be NULL) and returns -1. */
int fault_set(struct fault *f, int status, const char *format, ...)
    PRINTF_LIKE(3, 4);
/* The same for want of memory: one text, and 500, for 507 says that the disk is
 * full. */
int fault_memory(struct fault *f);
/* The same, with ": strerror(errno)" appended; status is 507 for ENOSPC and
 * EDQUOT, 503 for EMFILE and ENFILE, else 500. */
int fault_errno(struct fault *f, const char *format, ...) PRINTF_LIKE(2, 3);

/* The same for a path that the client chose: 404 when there is none, 403 when
 * it may not be used, 422 when it is of another kind. */
int fault_path(struct fault *f, const char *format, ...) PRINTF_LIKE(2, 3);

/* What to do where descriptors are short. */
#define DESCRIPTORS_FIX                                                        \
    "Fix: let the engine have more of them (ulimit -n 4096 before it starts, " \
    "LimitNOFILE= of its systemd unit)"

#endif
