/* watch.c: what happens below a directory of a sandbox (http-api.md §4.32), an
 * extension. */
#include "operation/watch.h"
#include "api/active.h"
#include "api/api.h"
#include "api/routes.h"
#include "base/descriptor.h"
#include "base/turn.h"
#include <stdlib.h>
#include <string.h>

enum { FRAME_MAX = 1 << 20 };

struct watching {
    struct request *request; /* NULL: the client has gone before the reply */
    uv_poll_t poll;
    int fd;
    char *top;
    struct watch_packet packet;
    struct buffer frame;
    size_t sent; /* of the frame */
    bool ready;  /* the stream has begun */
    bool ended;  /* the last frame is made */
    bool closing;
};

static void on_closed(uv_handle_t *handle) {
    struct watching *w = handle->data;
    drop_fd(&w->fd);
    buffer_free(&w->frame);
    free(w->top);
    free(w);
}

static void watching_close(void *arg) {
    struct watching *w = arg;
    if (w->closing)
        return;
    w->closing = true;
    watch_close(&w->poll, on_closed);
}

/* ---- the stream ---- */

static void on_packets(uv_poll_t *poll, int status, int events);

static void make_change(struct watching *w) {
    buffer_addf(&w->frame, "event: change\ndata: ");
    watch_write(&w->frame, w->top, &w->packet);
    json_end(&w->frame);
    buffer_addf(&w->frame, "\n\n");
}

/* The last frame. A sandbox that was killed could not tell all. */
static void make_end(struct watching *w, int got) {
    w->ended = true;
    if (got < 0 || w->packet.kind == WATCH_END) {
        if (got < 0) {
            w->packet = (struct watch_packet){.kind = WATCH_OVERFLOW};
            make_change(w);
        }
        buffer_addf(&w->frame, "event: end\ndata: {}\n\n");
        return;
    }
    buffer_addf(&w->frame, "event: failed\ndata: ");
    json_open(&w->frame, NULL, '{');
    json_add_string(&w->frame, "error", w->packet.text);
    json_add_int(&w->frame, "status", w->packet.status);
    json_close(&w->frame, '}');
    json_end(&w->frame);
    buffer_addf(&w->frame, "\n\n");
}

/* The frame of what watch_receive() got: not 0. */
static void make_frame(struct watching *w, int got) {
    w->frame.length = w->sent = 0;
    if (got < 0 || w->packet.kind == WATCH_FAILED ||
        w->packet.kind == WATCH_END)
        make_end(w, got);
    else
        make_change(w);
}

/* The next frame: 1, or one of STREAM_WAIT and its like. */
static int next_frame(struct watching *w) {
    if (w->ended)
        return STREAM_END;
    int got = watch_receive(w->fd, &w->packet);
    if (got == 0) {
        uv_poll_start(&w->poll, UV_READABLE, on_packets);
        return STREAM_WAIT;
    }
    make_frame(w, got);
    return w->frame.failed ? STREAM_CUT : 1;
}

static ssize_t watching_read(void *arg, char *out, size_t max) {
    struct watching *w = arg;
    size_t got = 0;
    while (got < max) {
        if (w->sent == w->frame.length) {
            if (got && turn_is_long(w->poll.loop))
                return (ssize_t)got;
            int next = next_frame(w);
            if (next <= 0)
                return got ? (ssize_t)got : next;
        }
        size_t left = w->frame.length - w->sent;
        size_t n = left < max - got ? left : max - got;
        memcpy(out + got, w->frame.data + w->sent, n);
        w->sent += n;
        got += n;
    }
    return (ssize_t)got;
}

/* ---- its beginning ---- */

static void begin(struct watching *w) {
    w->ready = true;
    request_on_gone(w->request, NULL, NULL);
    reply_stream(w->request, "text/event-stream",
                 &(struct stream_source){watching_read, watching_close, w,
                                         ": keepalive\n\n"});
}

static void tell_refusal(const struct watching *w, int got, struct fault *f) {
    if (got > 0 && w->packet.kind == WATCH_FAILED)
        fault_set(f, w->packet.status, "%s", w->packet.text);
    else
        fault_set(f, 409, "the operation is not running any more");
}

static void refuse(struct watching *w, int got) {
    struct fault f;
    tell_refusal(w, got, &f);
    request_on_gone(w->request, NULL, NULL);
    reply_fault(w->request, &f);
    watching_close(w);
}

/* The first packet says whether the directory is watched. */
static void on_packets(uv_poll_t *poll, int status, int events) {
    struct watching *w = poll->data;
    (void)status;
    (void)events;
    if (w->ready) {
        uv_poll_stop(poll);
        stream_wake(w->request);
        return;
    }
    int got = watch_receive(w->fd, &w->packet);
    if (got == 0)
        return;
    uv_poll_stop(poll);
    if (got > 0 && w->packet.kind == WATCH_READY)
        begin(w);
    else
        refuse(w, got);
}

static void on_gone(void *arg) {
    watching_close(arg);
}

static struct watching *watching_new(struct request *r, const char *path,
                                     int fd, struct fault *f) {
    struct watching *w = calloc(1, sizeof *w);
    if (w)
        w->top = strdup(path);
    if (!w || !w->top) {
        free(w);
        close_fd(fd);
        fault_memory(f);
        return NULL;
    }
    w->request = r;
    w->fd = fd;
    w->poll.data = w;
    buffer_init(&w->frame, FRAME_MAX);
    if (watch_open(request_engine(r)->loop, &w->poll, fd, f) == 0)
        return w;
    drop_fd(&w->fd);
    free(w->top);
    free(w);
    return NULL;
}

static int read_watch(struct request *r, const char **path, bool *recursive,
                      struct fault *f) {
    const struct url *u = request_url(r);
    *path = url_parameter(u, "path");
    if (!*path || **path != '/' || strlen(*path) >= WATCH_PATH_SIZE)
        return fault_set(f, 400,
                         "`path` must be absolute, and shorter than %d "
                         "bytes",
                         WATCH_PATH_SIZE);
    return url_flag(u, "recursive", recursive, f);
}

static void watch_get(struct request *r) {
    const char *path;
    bool recursive;
    struct fault f;
    int fd = -1;
    struct operation *op = operation_find_active(r, &f);
    if (op && read_watch(r, &path, &recursive, &f) == 0)
        fd = operation_watch(op, path, recursive, &f);
    struct watching *w = fd < 0 ? NULL : watching_new(r, path, fd, &f);
    if (!w) {
        reply_fault(r, &f);
        return;
    }
    request_on_gone(r, on_gone, w);
    uv_poll_start(&w->poll, UV_READABLE, on_packets);
}

const struct route watch_routes[] = {
    {"GET", "operations/*/watch", .handle = watch_get},
    {.method = NULL},
};
