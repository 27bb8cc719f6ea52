/* pipe.h: our end of a pipe to or from a process, on the loop. */
#ifndef CONTREE_BASE_PIPE_H
#define CONTREE_BASE_PIPE_H

#include "base/fault.h"
#include <stdbool.h>
#include <uv.h>

struct pipe_end {
    int fd; /* non-blocking */
    uv_loop_t *loop;
    uv_poll_t poll;
    bool polls; /* poll is open: since it was watched for the first time */
    bool watched, widened;
    void (*ready)(void *arg);
    void *arg;
};

/* A pipe of which `theirs` is for the process to read (we_read false) or write
 * (true). ready() is called, from the loop, while it is watched and ours can be
 * used. NULL with the fault. */
struct pipe_end *pipe_open(uv_loop_t *loop, bool we_read, int *theirs,
                           void (*ready)(void *arg), void *arg,
                           struct fault *f);
/* The same of an end that there is already, taken over also on failure. */
struct pipe_end *pipe_adopt(uv_loop_t *loop, int fd, void (*ready)(void *arg),
                            void *arg, struct fault *f);
/* UV_READABLE or UV_WRITABLE. False when the system refuses: try later. */
bool pipe_watch(struct pipe_end *p, int events);
void pipe_unwatch(struct pipe_end *p);
/* Call it for a busy pipe: makes it hold more, once and if the system allows,
 * so that both ends take fewer turns. */
void pipe_widen(struct pipe_end *p);
/* Sets *p to NULL; does nothing when it is. The descriptor is closed at the end
 * of the loop's turn. */
void pipe_close(struct pipe_end **p);

#endif
