/* pipe.c: see pipe.h. */
#define _GNU_SOURCE
#include "base/pipe.h"
#include "base/descriptor.h"
#include "base/log.h"
#include "base/scope.h"
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WIDE_BYTES = 1 << 20 };

struct pipe_end *pipe_adopt(uv_loop_t *loop, int fd, void (*ready)(void *arg),
                            void *arg, struct fault *f) {
    int flags = fcntl(fd, F_GETFL);
    struct pipe_end *p = calloc(1, sizeof *p);
    if (!p || flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
        fault_errno(f, "cannot set up a stream");
        free(p);
        close_fd(fd);
        return NULL;
    }
    *p = (struct pipe_end){.fd = fd, .loop = loop, .ready = ready, .arg = arg};
    return p;
}

struct pipe_end *pipe_open(uv_loop_t *loop, bool we_read, int *theirs,
                           void (*ready)(void *arg), void *arg,
                           struct fault *f) {
    int fds[2];
    struct pipe_end *p = calloc(1, sizeof *p);
    if (!p || pipe2(fds, O_CLOEXEC) < 0) {
        free(p);
        fault_errno(f, "cannot make a pipe");
        return NULL;
    }
    *theirs = fds[we_read ? 1 : 0];
    *p = (struct pipe_end){
        .fd = fds[we_read ? 0 : 1], .loop = loop, .ready = ready, .arg = arg};
    /* A program of any user may open /dev/stdout again. The pipe's owner is an
     * id that the sandbox does not have, so the mode must allow it to all. */
    if (fchmod(p->fd, 0666) == 0 && fcntl(p->fd, F_SETFL, O_NONBLOCK) == 0)
        return p;
    fault_errno(f, "cannot set up a pipe");
    pipe_close(&p);
    return NULL;
}

static void on_event(uv_poll_t *poll, int status, int events) {
    struct pipe_end *p = poll->data;
    (void)status;
    (void)events;
    p->ready(p->arg);
}

/* Made at the first need: most short runs are over before. */
static bool make_poll(struct pipe_end *p) {
    struct fault f;
    p->poll.data = p;
    p->polls = watch_open(p->loop, &p->poll, p->fd, &f) == 0;
    if (!p->polls)
        log_line("a pipe: %s", f.message);
    return p->polls;
}

bool pipe_watch(struct pipe_end *p, int events) {
    if (!p->watched && (p->polls || make_poll(p)))
        p->watched = uv_poll_start(&p->poll, events, on_event) == 0;
    return p->watched;
}

void pipe_unwatch(struct pipe_end *p) {
    if (p->watched)
        uv_poll_stop(&p->poll);
    p->watched = false;
}

void pipe_widen(struct pipe_end *p) {
    if (!p->widened)
        fcntl(p->fd, F_SETPIPE_SZ, WIDE_BYTES);
    p->widened = true;
}

static void on_closed(uv_handle_t *handle) {
    struct pipe_end *p = handle->data;
    drop_fd(&p->fd);
    free(p);
}

void pipe_close(struct pipe_end **pipe) {
    struct pipe_end *p = steal_pointer(pipe);
    if (!p)
        return;
    p->poll.data = p;
    if (p->polls)
        watch_close(&p->poll, on_closed);
    else
        on_closed((uv_handle_t *)&p->poll);
}
