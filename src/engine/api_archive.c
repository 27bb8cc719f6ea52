/* api_archive.c: GET .../archive (wire-api.md §4.20). A worker writes the tar
 * into a pipe, which the loop sends on as the client takes it. */
#define _GNU_SOURCE
#include "api_inspect.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* Each holds a worker for as long as its client takes to read: others must
 * find one (WORKERS in serve.c). */
enum { ARCHIVES_AT_A_TIME = 8 };

struct archive {
    struct job job;
    struct inspection at;
    bool head;
    struct view *view;
    int from, to; /* the pipe */
    uv_poll_t poll;
    atomic_bool cancelled;
    bool worker_done, stream_closed;
    struct fault fault; /* status 0: none */
};

static void archive_free(struct archive *a) {
    view_close(a->view);
    inspection_clear(&a->at);
    if (a->from >= 0)
        close(a->from);
    if (a->to >= 0)
        close(a->to);
    free(a);
}

static void on_poll_closed(uv_handle_t *handle) {
    archive_free(handle->data);
}

/* When both the worker and the stream have ended. */
static void release(struct archive *a) {
    if (!a->worker_done || !a->stream_closed)
        return;
    a->at.engine->archives--;
    uv_close((uv_handle_t *)&a->poll, on_poll_closed);
}

static void on_readable(uv_poll_t *poll, int status, int events) {
    struct archive *a = poll->data;
    (void)status;
    (void)events;
    uv_poll_stop(poll);
    stream_wake(a->at.request);
}

static ssize_t archive_read(void *arg, char *out, size_t max) {
    struct archive *a = arg;
    ssize_t n;
    do
        n = read(a->from, out, max);
    while (n < 0 && errno == EINTR);
    if (n > 0)
        return n;
    if (n < 0 && errno == EAGAIN) {
        uv_poll_start(&a->poll, UV_READABLE, on_readable);
        return STREAM_WAIT;
    }
    /* The end, but a good one? The worker tells in a moment. */
    if (!a->worker_done)
        return STREAM_WAIT;
    return a->fault.status ? STREAM_CUT : STREAM_END;
}

static void archive_close(void *arg) {
    struct archive *a = arg;
    a->cancelled = true;
    a->stream_closed = true;
    uv_poll_stop(&a->poll);
    close(a->from); /* ends the worker's writes */
    a->from = -1;
    release(a);
}

static void write_work(struct job *j) {
    struct archive *a = (struct archive *)j;
    struct patience patience = {0, &a->cancelled};
    inspect_archive(a->view, a->at.path, a->to, &patience, &a->fault);
    close(a->to);
    a->to = -1;
}

static void write_done(struct job *j) {
    struct archive *a = (struct archive *)j;
    a->worker_done = true;
    if (a->fault.status && !a->cancelled)
        log_line("an archive is cut short: %s", a->fault.message);
    if (!a->stream_closed)
        stream_wake(a->at.request);
    release(a);
}

static int open_pipe(struct archive *a, struct fault *f) {
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return fault_errno(f, "cannot make a pipe");
    a->from = fds[0];
    a->to = fds[1];
    if (fcntl(a->from, F_SETFL, O_NONBLOCK) < 0)
        return fault_errno(f, "cannot set up a pipe");
    int error = uv_poll_init(a->at.engine->loop, &a->poll, a->from);
    if (error)
        return fault_set(f, 500, "cannot watch a pipe: %s", uv_strerror(error));
    a->poll.data = a;
    return 0;
}

static void stream_archive(struct archive *a) {
    struct request *r = a->at.request;
    if (open_pipe(a, &a->fault) < 0) {
        reply_fault(r, &a->fault);
        a->at.engine->archives--;
        archive_free(a);
        return;
    }
    job_start(a->at.engine, &a->job, write_work, write_done);
    reply_stream(r, "application/x-tar",
                 &(struct stream_source){archive_read, archive_close, a, NULL});
}

static ssize_t nothing_read(void *arg, char *out, size_t max) {
    (void)arg;
    (void)out;
    (void)max;
    return STREAM_END;
}

static void nothing_close(void *arg) {
    (void)arg;
}

/* Whether there is anything to archive is known before the 200 goes out. */
static void look_work(struct job *j) {
    struct archive *a = (struct archive *)j;
    struct item item;
    a->view = inspection_view(&a->at, &a->fault);
    if (a->view)
        inspect_stat(a->view, a->at.path, true, &item, &a->fault);
}

static void look_done(struct job *j) {
    struct archive *a = (struct archive *)j;
    struct request *r = a->at.request;
    if (!a->fault.status && !a->head) {
        stream_archive(a);
        return;
    }
    if (a->fault.status) {
        reply_fault(r, &a->fault);
    } else {
        /* The headers of the GET, which has no Content-Length. */
        reply_stream(
            r, "application/x-tar",
            &(struct stream_source){nothing_read, nothing_close, NULL, NULL});
    }
    a->at.engine->archives--;
    archive_free(a);
}

static struct archive *archive_new(struct request *r, struct fault *f) {
    struct archive *a = calloc(1, sizeof *a);
    if (!a) {
        fault_set(f, 500, "out of memory");
        return NULL;
    }
    a->from = a->to = -1;
    a->head = request_is_head(r);
    int result = inspection_start(r, &a->at, f);
    if (result == 0 && !a->at.path)
        result = fault_set(f, 400, "path is required");
    if (result == 0)
        return a;
    archive_free(a);
    return NULL;
}

void inspect_archive_get(struct request *r) {
    struct engine *e = request_engine(r);
    struct fault f;
    if (e->archives >= ARCHIVES_AT_A_TIME) {
        reply_error(r, 429, "%d archives are being read already",
                    ARCHIVES_AT_A_TIME);
        return;
    }
    struct archive *a = archive_new(r, &f);
    if (!a) {
        reply_fault(r, &f);
        return;
    }
    e->archives++;
    job_start(e, &a->job, look_work, look_done);
}
