/* failure.h: why something could not be done, in words for the user. */
#ifndef CONTREE_INIT_FAILURE_H
#define CONTREE_INIT_FAILURE_H

struct failure {
    int status; /* HTTP */
    char message[400];
};

/* Both return -1. fail_errno() appends ": strerror(errno)", keeps errno, and
 * chooses the status: 507 when the disk is full, else 500. */
int fail(struct failure *f, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int fail_errno(struct failure *f, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
