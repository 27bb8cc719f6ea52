/* archive.c: GET /inspect/{uuid}/archive (http-api.md §4.20). A worker writes
 * the tar into a pipe; the loop reads the pipe as fast as the client takes it.
 */
#define _GNU_SOURCE
#include "view/archive.h"
#include "api/inspect.h"
#include "api/inspection.h"
#include "base/descriptor.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/pipe.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* Each occupies a worker until its client has read all: the limit leaves
 * workers for others (WORKERS in command/serve.c). */
enum { ARCHIVES_AT_A_TIME = 8 };

struct archive {
    struct job job;
    struct inspection at;
    bool head;
    struct view *view;
    struct pipe_end *from;
    int to; /* the end of the pipe that the worker writes to */
    atomic_bool cancelled;
    bool worker_done, stream_closed;
    struct fault fault; /* status 0: none */
};

static void archive_free(struct archive *a) {
    view_close(a->view);
    inspection_clear(&a->at);
    pipe_close(&a->from);
    drop_fd(&a->to);
    free(a);
}

/* Free it if both the worker and the stream have ended. */
static void release(struct archive *a) {
    if (!a->worker_done || !a->stream_closed)
        return;
    a->at.engine->archives--;
    archive_free(a);
}

static void on_readable(void *arg) {
    struct archive *a = arg;
    pipe_unwatch(a->from);
    stream_wake(a->at.request);
}

static ssize_t archive_read(void *arg, char *out, size_t max) {
    struct archive *a = arg;
    ssize_t n;
    do
        n = read(a->from->fd, out, max);
    while (n < 0 && errno == EINTR);
    if (n > 0)
        return n;
    if (n < 0 && errno == EAGAIN)
        return pipe_watch(a->from, UV_READABLE) ? STREAM_WAIT : STREAM_CUT;
    if (n < 0) /* the worker may wait for a reader for ever */
        return STREAM_CUT;
    /* The pipe has ended. Whether the tar is complete the worker tells soon. */
    if (!a->worker_done)
        return STREAM_WAIT;
    return a->fault.status ? STREAM_CUT : STREAM_END;
}

static void archive_close(void *arg) {
    struct archive *a = arg;
    a->cancelled = true;
    a->stream_closed = true;
    pipe_close(&a->from); /* makes the worker's writes fail */
    release(a);
}

static void write_work(struct job *j) {
    struct archive *a = (struct archive *)j;
    struct deadline deadline = {0, &a->cancelled};
    inspect_archive(a->view, a->at.path, a->to, &deadline, &a->fault);
    drop_fd(&a->to);
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

static void stream_archive(struct archive *a) {
    struct request *r = a->at.request;
    a->from =
        pipe_open(a->at.engine->loop, true, &a->to, on_readable, a, &a->fault);
    if (!a->from) {
        reply_fault(r, &a->fault);
        a->at.engine->archives--;
        archive_free(a);
        return;
    }
    job_start(&a->at.engine->workers, &a->job, write_work, write_done);
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

/* Check that all of it can be archived, before the 200 goes out. */
static void check_work(struct job *j) {
    struct archive *a = (struct archive *)j;
    const struct deadline deadline = {0, &a->cancelled};
    a->view = inspection_view(&a->at, &a->fault);
    if (a->view && inspect_can_archive(a->view, a->at.path, ARCHIVE_TAR,
                                       &deadline, &a->fault) < 0)
        return; /* with the fault */
}

static void check_done(struct job *j) {
    struct archive *a = (struct archive *)j;
    struct request *r = a->at.request;
    if (!a->fault.status && !a->head) {
        stream_archive(a);
        return;
    }
    if (a->fault.status) {
        reply_fault(r, &a->fault);
    } else {
        /* A HEAD gets the headers of the GET: no Content-Length. */
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
        fault_memory(f);
        return NULL;
    }
    a->to = -1;
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
    job_start(&e->workers, &a->job, check_work, check_done);
}
