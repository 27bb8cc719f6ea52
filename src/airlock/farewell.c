/* farewell.c: see farewell.h. */
#define _GNU_SOURCE
#include "airlock/farewell.h"
#include "base/descriptor.h"
#include "base/relay.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { READS = 16, PIECE = 16 << 10 };

struct farewell {
    struct farewells *all;
    uv_poll_t poll;
    uv_timer_t timer;
    int fd, open_handles;
};

static void on_closed(uv_handle_t *handle) {
    struct farewell *w = handle->data;
    if (--w->open_handles > 0)
        return;
    close_fd(w->fd);
    w->all->count--;
    free(w);
}

static void end(struct farewell *w) {
    if (uv_is_closing((uv_handle_t *)&w->timer))
        return;
    watch_close(&w->poll, on_closed);
    uv_close((uv_handle_t *)&w->timer, on_closed);
}

static void on_time(uv_timer_t *timer) {
    end(timer->data);
}

static void on_readable(uv_poll_t *poll, int status, int events) {
    struct farewell *w = poll->data;
    char dropped[PIECE];
    (void)status;
    (void)events;
    for (int i = 0; i < READS; i++) {
        ssize_t got = recv(w->fd, dropped, sizeof dropped, MSG_DONTWAIT);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (got <= 0) {
            end(w);
            return;
        }
    }
}

void farewell(struct farewells *all, int fd, const struct buffer *text) {
    struct farewell *w =
        all->count < FAREWELLS_MAX ? calloc(1, sizeof *w) : NULL;
    if (!w || watch_open(all->loop, &w->poll, fd, NULL) < 0) {
        free(w);
        close_with_reset(&fd);
        return;
    }
    w->all = all;
    w->fd = fd;
    w->open_handles = 2;
    all->count++;
    uv_timer_init(all->loop, &w->timer);
    w->poll.data = w->timer.data = w;
    /* Short: a socket that takes less has a client that does not read. */
    if (!text->failed && text->length > 0)
        (void)!send(fd, text->data, text->length, MSG_DONTWAIT | MSG_NOSIGNAL);
    shutdown(fd, SHUT_WR);
    uv_poll_start(&w->poll, UV_READABLE, on_readable);
    uv_timer_start(&w->timer, on_time, FAREWELL_MS, 0);
}
