/* relay.c: see relay.h. */
#define _GNU_SOURCE
#include "base/relay.h"
#include "base/descriptor.h"
#include "base/turn.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    /* Asked for; the kernel may give less. More would not stay in a cache of
     * the processor until it is read again. */
    PIPE_SIZE = 256 << 10,
    ROUNDS = 8, /* in one turn of the loop */
    FILTERED_SIZE = 32 << 10,
    PENDING_MAX = 1 << 20
};

/* ---- pipes ---- */

static int pipe_take(struct pipes *p, int out[2]) {
    if (p->count > 0) {
        memcpy(out, p->list[--p->count], sizeof p->list[0]);
        return 0;
    }
    if (pipe2(out, O_NONBLOCK | O_CLOEXEC) < 0) {
        out[0] = out[1] = -1;
        return -1;
    }
    /* It works with less, too. */
    if (fcntl(out[1], F_SETPIPE_SZ, PIPE_SIZE) < 0)
        errno = 0;
    return 0;
}

static void pipe_drop(int pipe[2]) {
    drop_fd(&pipe[0]);
    drop_fd(&pipe[1]);
}

/* Give an empty pipe back. */
static void pipe_give(struct pipes *p, int pipe[2]) {
    if (pipe[0] < 0)
        return;
    if (p->count == PIPES_MAX) {
        pipe_drop(pipe);
        return;
    }
    memcpy(p->list[p->count++], pipe, sizeof p->list[0]);
    pipe[0] = pipe[1] = -1;
}

void pipes_close(struct pipes *p) {
    while (p->count > 0)
        pipe_drop(p->list[--p->count]);
}

/* ---- one direction ---- */

struct direction {
    int pipe[2];
    size_t held; /* bytes in the pipe */
    /* What was offered, or has gone through the filter, before what is in the
     * pipe. */
    struct buffer pending;
    size_t passed_on; /* of these */
    bool ended;       /* the source has */
    bool shut;        /* the target was told */
};

enum { OUTER, INNER, SIDES };

struct relay {
    struct pipes *pipes;
    int fds[SIDES];
    uv_poll_t polls[SIDES];
    struct direction from[SIDES]; /* to the other side */
    bool finishing, closing, reset;
    bool (*take)(void *arg, const char *data, size_t length,
                 struct buffer *out);
    void *filter;
    int open_handles;
    void (*done)(void *arg);
    void *arg;
};

enum { FLAGS = SPLICE_F_NONBLOCK | SPLICE_F_MOVE };

static size_t pending(const struct direction *d) {
    return d->pending.length - d->passed_on;
}

static bool is_empty(const struct direction *d) {
    return d->held == 0 && pending(d) == 0;
}

static int fill_through_filter(struct relay *r) {
    struct direction *d = &r->from[OUTER];
    char data[FILTERED_SIZE];
    if (!is_empty(d))
        return 0;
    ssize_t n = recv(r->fds[OUTER], data, sizeof data, MSG_DONTWAIT);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    d->ended = n == 0;
    if (n == 0)
        return 0;
    return r->take(r->filter, data, (size_t)n, &d->pending) &&
                   !d->pending.failed
               ? 1
               : -1;
}

/* 1: bytes were moved; 0: none can be now; -1: the connection is broken. */
static int fill(struct relay *r, int side) {
    struct direction *d = &r->from[side];
    if (d->ended)
        return 0;
    if (side == OUTER && r->take)
        return fill_through_filter(r);
    if (d->pipe[0] < 0 && pipe_take(r->pipes, d->pipe) < 0)
        return -1;
    ssize_t n = splice(r->fds[side], NULL, d->pipe[1], NULL, PIPE_SIZE, FLAGS);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    d->ended = n == 0;
    d->held += (size_t)n;
    return n > 0;
}

static int drain_pending(struct direction *d, int to) {
    ssize_t n = send(to, d->pending.data + d->passed_on, pending(d),
                     MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    d->passed_on += (size_t)n;
    if (pending(d) == 0) {
        buffer_free(&d->pending);
        d->passed_on = 0;
    }
    return 1;
}

static int drain(struct relay *r, int side) {
    struct direction *d = &r->from[side];
    if (pending(d) > 0)
        return drain_pending(d, r->fds[!side]);
    if (d->held == 0)
        return 0;
    ssize_t n = splice(d->pipe[0], NULL, r->fds[!side], NULL, d->held, FLAGS);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    d->held -= (size_t)n;
    return n > 0;
}

/* Move what can be moved, for a while. -1: the connection is broken. */
static int pump(struct relay *r, int side, const uv_loop_t *loop) {
    struct direction *d = &r->from[side];
    for (int i = 0; i < ROUNDS && (i == 0 || !turn_is_long(loop)); i++) {
        int filled = fill(r, side), drained = filled < 0 ? 0 : drain(r, side);
        if (filled < 0 || drained < 0)
            return -1;
        if (!filled && !drained)
            break;
    }
    if (d->held == 0)
        pipe_give(r->pipes, d->pipe);
    if (d->ended && is_empty(d) && !d->shut) {
        d->shut = true;
        if (shutdown(r->fds[!side], SHUT_WR) < 0 && errno != ENOTCONN)
            return -1;
    }
    return 0;
}

/* ---- both ---- */

void close_with_reset(int *fd) {
    const struct linger now = {.l_onoff = 1};
    if (*fd >= 0) /* of no effect on Unix sockets */
        setsockopt(*fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    drop_fd(fd);
}

static void free_relay(struct relay *r) {
    for (int i = 0; i < SIDES; i++) {
        if (r->reset)
            close_with_reset(&r->fds[i]);
        drop_fd(&r->fds[i]);
        if (r->from[i].held == 0)
            pipe_give(r->pipes, r->from[i].pipe);
        pipe_drop(r->from[i].pipe);
        buffer_free(&r->from[i].pending);
    }
    if (r->done)
        r->done(r->arg);
    free(r);
}

static void on_closed(uv_handle_t *handle) {
    struct relay *r = handle->data;
    if (--r->open_handles == 0)
        free_relay(r);
}

static void close_relay(struct relay *r, bool reset) {
    if (r->closing)
        return;
    r->closing = true;
    r->reset = reset;
    for (int i = 0, count = r->open_handles; i < count; i++)
        watch_close(&r->polls[i], on_closed);
    if (r->open_handles == 0)
        free_relay(r);
}

static void on_ready(uv_poll_t *poll, int status, int events);

/* What the directions want of a socket: bytes, or room for them. */
static int wanted(const struct relay *r, int side) {
    const struct direction *out = &r->from[side], *in = &r->from[!side];
    bool read = !out->ended && is_empty(out), write = !is_empty(in);
    if (r->finishing) /* nobody is left to write to */
        return side == INNER ? (read ? UV_READABLE : 0)
                             : (write ? UV_WRITABLE : 0);
    return (read ? UV_READABLE : 0) | (write ? UV_WRITABLE : 0);
}

/* A socket of which nothing is wanted is not watched: a hang-up would wake us
 * again and again. */
static void watch(struct relay *r) {
    for (int side = 0; side < SIDES; side++) {
        int events = wanted(r, side);
        if (events)
            uv_poll_start(&r->polls[side], events, on_ready);
        else
            uv_poll_stop(&r->polls[side]);
    }
}

static void go_on(struct relay *r, const uv_loop_t *loop) {
    if ((!r->finishing && pump(r, OUTER, loop) < 0) || pump(r, INNER, loop) < 0)
        close_relay(r, true);
    else if (r->from[INNER].shut && (r->from[OUTER].shut || r->finishing))
        close_relay(r, false);
    else
        watch(r);
}

static void on_ready(uv_poll_t *poll, int status, int events) {
    struct relay *r = poll->data;
    (void)status; /* an error shows when the socket is used */
    (void)events;
    if (!r->closing)
        go_on(r, poll->loop);
}

struct relay *relay_start(uv_loop_t *loop, struct pipes *pipes, int outer,
                          int inner, void (*done)(void *arg), void *arg,
                          struct fault *f) {
    struct relay *r = calloc(1, sizeof *r);
    if (!r) {
        close_with_reset(&outer);
        drop_fd(&inner);
        fault_memory(f);
        return NULL;
    }
    *r = (struct relay){.pipes = pipes,
                        .fds = {outer, inner},
                        .from = {{.pipe = {-1, -1}}, {.pipe = {-1, -1}}},
                        .arg = arg};
    for (int i = 0; i < SIDES; i++) {
        buffer_init(&r->from[i].pending, PENDING_MAX);
        r->polls[i].data = r;
        if (watch_open(loop, &r->polls[i], r->fds[i], f) < 0)
            break;
        r->open_handles++;
    }
    if (r->open_handles == SIDES) {
        r->done = done;
        watch(r);
        return r;
    }
    close_relay(r, true);
    return NULL;
}

int relay_offer(struct relay *r, const void *data, size_t length,
                struct fault *f) {
    if (!buffer_add(&r->from[OUTER].pending, data, length))
        return fault_memory(f);
    watch(r);
    return 0;
}

void relay_filter(struct relay *r,
                  bool (*take)(void *arg, const char *data, size_t length,
                               struct buffer *out),
                  void *arg) {
    r->take = take;
    r->filter = arg;
}

int relay_release(struct relay *r) {
    int outer = steal_fd(&r->fds[OUTER]);
    close_relay(r, true);
    return outer;
}

void relay_finish(struct relay *r) {
    r->finishing = true;
    if (!r->closing)
        go_on(r, r->polls[OUTER].loop);
}

void relay_abort(struct relay *r) {
    close_relay(r, true);
}
