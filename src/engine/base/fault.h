/* fault.h: the few helpers every engine file uses: faults, scope cleanup,
 * growable text, file descriptors, time, ids. */
#ifndef CONTREE_BASE_FAULT_H
#define CONTREE_BASE_FAULT_H

#include "base/descriptor.h"
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define MUST_CHECK __attribute__((warn_unused_result))

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
/* The same, with ": strerror(errno)" appended; status is 507 for ENOSPC and
 * EDQUOT, 503 for EMFILE and ENFILE, else 500. */
int fault_errno(struct fault *f, const char *format, ...) PRINTF_LIKE(2, 3);

/* The same for a path that the client chose: 404 when there is none, 403 when
 * it may not be used, 422 when it is of another kind. */
int fault_path(struct fault *f, const char *format, ...) PRINTF_LIKE(2, 3);

/* Scope-exit cleanup. */
#define CLEANUP(fn) __attribute__((cleanup(fn)))
void cleanup_free(void *p); /* char *p CLEANUP(cleanup_free) = NULL; */
void *steal_pointer(void *p);

/* Growable bytes with a mandatory maximum; the only way text is built. After
 * a failed append the buffer is empty and `failed` stays true. */
struct buffer {
    char *data; /* NUL-terminated whenever not NULL */
    size_t length, capacity, maximum;
    bool failed;
};
void buffer_init(struct buffer *b, size_t maximum);
bool buffer_add(struct buffer *b, const void *data, size_t length);
bool buffer_addf(struct buffer *b, const char *format, ...) PRINTF_LIKE(2, 3);
char *buffer_take(struct buffer *b); /* caller frees; NULL if failed */
void buffer_free(struct buffer *b);

/* Whole reads and writes that survive EINTR and short counts; 0 or -1 with
 * errno. */
int write_all(int fd, const void *data, size_t length) MUST_CHECK;
ssize_t read_all(int fd, void *data, size_t length) MUST_CHECK;

/* openat2(2), RESOLVE_* in `resolve`. The kernel refuses a scoped lookup of
 * ".." with EAGAIN when anything on the machine is renamed or mounted
 * meanwhile, so it is tried again, a bounded number of times. -1 with errno. */
int open_scoped(int dir, const char *path, uint64_t flags,
                uint64_t resolve) MUST_CHECK;

/* Writes a text to a file that is there, in one go; -1 with errno. */
int write_to_file(const char *path, const char *text);

double monotonic_seconds(void);
int64_t wall_microseconds(void);
/* 2026-06-08T20:00:00.123456Z; `out` holds at least 32 bytes. */
void format_time(int64_t microseconds, char out[32]);

#define UUID_SIZE 37
void uuid_random(char out[UUID_SIZE]);  /* version 4 */
void uuid_ordered(char out[UUID_SIZE]); /* version 7 */
/* 8-4-4-4-12 hex of either case; copies it lower-cased to `out` if given. */
bool uuid_parse(const char *text, char out[UUID_SIZE]);
/* Whether `text` is how a uuid begins, at least by one digit; copies it
 * lower-cased. */
bool uuid_begins(const char *text, char out[UUID_SIZE]);

/* Engine log: one line to standard error, prefixed with the time. Never gets
 * a token, an environment value or the output of a command. */
void log_line(const char *format, ...) PRINTF_LIKE(1, 2);

#endif
