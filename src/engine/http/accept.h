/* accept.h: taking connections of a listening socket, on the loop. */
#ifndef CONTREE_HTTP_ACCEPT_H
#define CONTREE_HTTP_ACCEPT_H

#include "base/fault.h"
#include <stdbool.h>
#include <sys/socket.h>
#include <uv.h>

struct acceptor {
    uv_poll_t poll;
    uv_timer_t pause;
    int fd; /* -1: not open */
    bool paused;
    double complained; /* in the log, monotonic seconds */
    int closing, open_handles;
    void (*closed)(void *arg);
    /* Takes over `fd`, which does not block. */
    void (*take)(void *arg, int fd, const struct sockaddr *peer,
                 socklen_t length);
    /* Whether there is room for one; else the others wait in the backlog. */
    bool (*has_room)(void *arg);
    void *arg;
};

/* Takes over `fd`, listening and not blocking. take, has_room and arg are set.
 * When the system has no descriptor or memory for a connection, it is tried
 * again a moment later. */
int accept_open(struct acceptor *a, uv_loop_t *loop, int fd, struct fault *f);
/* There is room again. */
void accept_resume(struct acceptor *a);
/* Stops at once; calls closed(arg) from the loop, when `a` may go. */
void accept_close(struct acceptor *a, void (*closed)(void *arg));

#endif
