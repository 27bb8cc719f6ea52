/* accept.c: see accept.h. */
#define _GNU_SOURCE
#include "http/accept.h"
#include "base/clock.h"
#include "base/descriptor.h"
#include "base/log.h"
#include "base/turn.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

enum {
    AT_A_TIME = 16, /* then the loop has other work */
    PAUSE_MS = 50,
    COMPLAIN_SECONDS = 60
};

static void on_incoming(uv_poll_t *poll, int status, int events);

void accept_resume(struct acceptor *a) {
    if (!a->paused || a->fd < 0)
        return;
    a->paused = false;
    uv_timer_stop(&a->pause);
    uv_poll_start(&a->poll, UV_READABLE, on_incoming);
}

static void on_pause(uv_timer_t *timer) {
    accept_resume(timer->data);
}

/* Stop watching the socket for a moment: it stays readable while connections
 * wait in its backlog, and would wake the loop again and again. */
static void pause_a_moment(struct acceptor *a) {
    a->paused = true;
    uv_poll_stop(&a->poll);
    uv_timer_start(&a->pause, on_pause, PAUSE_MS, 0);
}

static void complain(struct acceptor *a, int error) {
    double now = monotonic_seconds();
    if (a->complained && now - a->complained < COMPLAIN_SECONDS)
        return;
    a->complained = now;
    log_line("cannot take a connection: %s; trying again. " DESCRIPTORS_FIX,
             strerror(error));
}

/* 1: a connection was taken, or was gone before that. 0: no connection waits,
 * or none can be taken now. */
static int take_one(struct acceptor *a) {
    struct sockaddr_storage peer;
    socklen_t length = sizeof peer;
    int fd = accept4(a->fd, (struct sockaddr *)&peer, &length,
                     SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        a->take(a->arg, fd, (struct sockaddr *)&peer, length);
        return 1;
    }
    if (errno == EAGAIN)
        return 0;
    if (errno != EMFILE && errno != ENFILE && errno != ENOBUFS &&
        errno != ENOMEM)
        return 1; /* a signal, or an error of that connection alone */
    complain(a, errno);
    pause_a_moment(a);
    return 0;
}

static void on_incoming(uv_poll_t *poll, int status, int events) {
    struct acceptor *a = poll->data;
    (void)status;
    (void)events;
    for (int i = 0; i < AT_A_TIME && (i == 0 || !turn_is_long(poll->loop));
         i++) {
        if (!a->has_room(a->arg)) {
            pause_a_moment(a);
            return;
        }
        if (take_one(a) == 0)
            return;
    }
}

int accept_open(struct acceptor *a, uv_loop_t *loop, int fd, struct fault *f) {
    a->fd = fd;
    a->poll.data = a->pause.data = a;
    if (watch_open(loop, &a->poll, fd, f) < 0) {
        drop_fd(&a->fd);
        return -1;
    }
    uv_timer_init(loop, &a->pause);
    uv_poll_start(&a->poll, UV_READABLE, on_incoming);
    return 0;
}

static void on_closed(uv_handle_t *handle) {
    struct acceptor *a = handle->data;
    if (handle == (uv_handle_t *)&a->poll)
        drop_fd(&a->closing);
    if (--a->open_handles == 0)
        a->closed(a->arg);
}

void accept_close(struct acceptor *a, void (*closed)(void *arg)) {
    a->closing = steal_fd(&a->fd);
    a->closed = closed;
    a->open_handles = 2;
    watch_close(&a->poll, on_closed);
    uv_close((uv_handle_t *)&a->pause, on_closed);
}
