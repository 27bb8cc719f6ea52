/* accept.h: accepts connections of a listening socket, on the loop. */
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
    double complained; /* when the log was told last, monotonic seconds */
    int closing, open_handles;
    void (*closed)(void *arg);
    /* A new connection: takes over `fd`, which is non-blocking. */
    void (*take)(void *arg, int fd, const struct sockaddr *peer,
                 socklen_t length);
    /* Whether one more may be taken. If not, connections wait in the backlog.
     */
    bool (*has_room)(void *arg);
    void *arg;
};

/* Start accepting on `fd`, which is non-blocking and listens before the loop
 * runs; takes it over. Set take, has_room and arg before. If the system is
 * short of descriptors or memory, connections wait, and are tried again a
 * moment later. */
int accept_open(struct acceptor *a, uv_loop_t *loop, int fd, struct fault *f);
/* Go on at once: has_room() has become true. */
void accept_resume(struct acceptor *a);
/* Stop at once. closed(arg) is called from the loop; then `a` may be freed. */
void accept_close(struct acceptor *a, void (*closed)(void *arg));

#endif
