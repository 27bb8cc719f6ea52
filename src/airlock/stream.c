/* stream.c: see stream.h. */
#define _GNU_SOURCE
#include "airlock/stream.h"
#include "base/descriptor.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { HEAD = 2, MESSAGE_MAX = 2048 };

struct stream {
    uv_poll_t poll;
    uv_timer_t timer;
    int fd, open_handles;
    uint8_t data[HEAD + MESSAGE_MAX];
    size_t length;
    size_t (*answer)(void *arg, const uint8_t *message, size_t length,
                     uint8_t out[DNS_ANSWER_MAX]);
    void (*ended)(void *arg);
    void *arg;
};

static void on_closed(uv_handle_t *handle) {
    struct stream *s = handle->data;
    if (--s->open_handles > 0)
        return;
    drop_fd(&s->fd);
    s->ended(s->arg);
    free(s);
}

static void end(struct stream *s) {
    if (uv_is_closing((uv_handle_t *)&s->timer))
        return;
    watch_close(&s->poll, on_closed);
    uv_close((uv_handle_t *)&s->timer, on_closed);
}

static void on_time(uv_timer_t *timer) {
    end(timer->data);
}

/* A client that does not read its answers, which are small, is left. */
static bool answer_one(struct stream *s, const uint8_t *message,
                       size_t length) {
    uint8_t out[HEAD + DNS_ANSWER_MAX];
    size_t size = s->answer(s->arg, message, length, out + HEAD);
    if (size == 0)
        return false;
    out[0] = (uint8_t)(size >> 8);
    out[1] = (uint8_t)size;
    return send(s->fd, out, HEAD + size, MSG_DONTWAIT | MSG_NOSIGNAL) ==
           (ssize_t)(HEAD + size);
}

/* Answers what has come as a whole. */
static bool answer_all(struct stream *s) {
    size_t at = 0;
    while (s->length - at >= HEAD) {
        size_t length = (size_t)s->data[at] << 8 | s->data[at + 1];
        if (length > MESSAGE_MAX)
            return false;
        if (s->length - at < HEAD + length)
            break;
        if (!answer_one(s, s->data + at + HEAD, length))
            return false;
        at += HEAD + length;
    }
    s->length -= at;
    memmove(s->data, s->data + at, s->length);
    return true;
}

static void on_readable(uv_poll_t *poll, int status, int events) {
    struct stream *s = poll->data;
    (void)status;
    (void)events;
    ssize_t got = recv(s->fd, s->data + s->length, sizeof s->data - s->length,
                       MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    s->length += got > 0 ? (size_t)got : 0;
    if (got <= 0 || !answer_all(s))
        end(s);
    else
        uv_timer_start(&s->timer, on_time, STREAM_IDLE_MS, 0);
}

void stream_serve(uv_loop_t *loop, int fd,
                  size_t (*answer)(void *arg, const uint8_t *message,
                                   size_t length, uint8_t out[DNS_ANSWER_MAX]),
                  void (*ended)(void *arg), void *arg) {
    struct stream *s = calloc(1, sizeof *s);
    if (!s || watch_open(loop, &s->poll, fd, NULL) < 0) {
        free(s);
        close_fd(fd);
        ended(arg);
        return;
    }
    s->fd = fd;
    s->answer = answer;
    s->ended = ended;
    s->arg = arg;
    s->open_handles = 2;
    uv_timer_init(loop, &s->timer);
    s->poll.data = s->timer.data = s;
    uv_poll_start(&s->poll, UV_READABLE, on_readable);
    uv_timer_start(&s->timer, on_time, STREAM_IDLE_MS, 0);
}
