/* filler.h: a thread that writes the contents of files, while the thread that
 * reads the archive makes the next ones. Half of the time goes into either, so
 * two processors unpack nearly twice as fast as one.
 *
 * It only has descriptors of files, no paths: it cannot be led astray. All is
 * done in the order in which it is added. A failure is told by the next call
 * that returns a value; whatever comes after it is dropped. */
#ifndef CONTREE_UNPACK_FILLER_H
#define CONTREE_UNPACK_FILLER_H

#include "base/scope.h"
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <time.h>

struct filler;

/* What a file gets when its content is complete. */
struct file_end {
    off_t size; /* it is made so long; -1: it is already */
    uid_t uid;
    gid_t gid;
    mode_t mode;
    struct timespec times[2]; /* as for futimens() */
};

/* A failed write, or whatever follows it. */
struct filler_failure {
    int error; /* errno; 0: none */
    char name[256];
};

/* Start the thread, and wait until it makes no more system calls of its own.
 * NULL if this machine has one processor, or no thread to spare: then files are
 * written by who reads the archive. */
struct filler *filler_open(void);
/* Wait for the end of all that was added, and end the thread. */
void filler_close(struct filler *w);

/* Add a copy of `data`, to be written at `offset` of the file. */
void filler_add(struct filler *w, int fd, const char *name, const void *data,
                size_t length, off_t offset);
/* Add the end of the file, and take over its descriptor. NULL: the file has
 * failed, and is only closed. */
void filler_end(struct filler *w, int fd, const char *name,
                const struct file_end *end);
/* Whether something has failed by now. */
bool filler_has_failed(struct filler *w);
/* Wait until all that was added is done. 0, or -1 when something has failed. */
int filler_wait(struct filler *w) MUST_CHECK;
/* What has failed first. Call it after one of the last two. */
const struct filler_failure *filler_failure(const struct filler *w);

#endif
