/* layers.c: POST /images/{uuid}/layers: an image with one layer more, an
 * extension (http-api.md §4.25). The body goes into a pipe as it arrives, and
 * the operation unpacks it meanwhile: when the last byte has come, most of the
 * work is done. A pipe that is full makes the client wait. */
#define _GNU_SOURCE
#include "api/api.h"
#include "api/made.h"
#include "api/routes.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/pipe.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- the archive arrives ---- */

/* Until the body is complete. The operation ends before only if it fails: an
 * image is made of an archive that was read to the end of the pipe. */
struct arrival {
    struct operation_waiter waiter;
    struct request *request;
    struct operation *operation; /* NULL: not started, or handed over */
    struct pipe_end *pipe;       /* NULL: nobody reads it any more */
    struct fault fault;          /* why the operation has ended; status 0 */
    int64_t size;
};

/* The operation is cancelled before its pipe ends, so that it takes no part of
 * an archive for the whole (operation.h). */
static void abandon(struct arrival *a) {
    struct operation *op = a->operation;
    a->operation = NULL;
    if (op) {
        operation_unwait(op, &a->waiter);
        operation_cancel(op, NULL);
    }
    pipe_close(&a->pipe);
}

static void arrival_free(void *state) {
    abandon(state);
    free(state);
}

static void on_ended(struct operation_waiter *w, struct operation *op,
                     bool ended) {
    struct arrival *a = (struct arrival *)w;
    a->operation = NULL;
    made_fault(op, "layer", ended, &a->fault);
    pipe_close(&a->pipe);
    request_go_on(a->request); /* the next piece is refused */
}

static void on_room(void *arg) {
    struct arrival *a = arg;
    pipe_unwatch(a->pipe);
    request_go_on(a->request);
}

static int too_large(struct fault *f) {
    return fault_set(f, 413, "the archive is larger than %lld bytes",
                     (long long)RUN_LAYER_BYTES);
}

static int find_parent(struct request *r, struct image *out, struct fault *f) {
    char uuid[UUID_SIZE];
    if (api_uuid(r, 0, "image", uuid, f) < 0)
        return -1;
    return store_image_by_uuid(request_engine(r)->store, uuid, out, f);
}

static int read_options(struct request *r, struct layer_request *l,
                        struct fault *f) {
    const struct url *u = request_url(r);
    const char *at = url_parameter(u, "at"), *tag = url_parameter(u, "tag");
    l->max_bytes = RUN_LAYER_BYTES;
    if (at && *at && *at != '/')
        return fault_set(f, 400, "at must be an absolute path, such as /work");
    if (tag && *tag && (tag_check(tag, f) < 0 || !(l->tag = strdup(tag))))
        return l->tag || f->status ? -1 : fault_memory(f);
    if (url_int(u, "max_layer_bytes", 1, RUN_LAYER_BYTES, &l->max_bytes, f) < 0)
        return -1;
    if (url_flag(u, "temporary", &l->temporary, f) < 0)
        return -1;
    l->at = path_normal(at ? at : "/", f);
    return l->at ? 0 : -1;
}

static int begin(struct arrival *a, struct layer_request *l, struct fault *f) {
    struct engine *e = request_engine(a->request);
    a->pipe = pipe_open(e->loop, false, &l->fd, on_room, a, f);
    if (!a->pipe)
        return -1;
    a->operation = operation_add_layer(e->operations, l, f);
    if (!a->operation)
        return -1;
    a->waiter.deadline = monotonic_seconds() + RUN_TIMEOUT_MAX;
    a->waiter.done = on_ended;
    operation_wait(a->operation, &a->waiter);
    return 0;
}

static int layer_open(struct request *r, int64_t length, struct fault *f) {
    struct arrival *a = calloc(1, sizeof *a);
    struct layer_request l = {.fd = -1};
    if (!a)
        return fault_memory(f);
    a->request = r;
    request_own(r, a, arrival_free);
    f->status = 0;
    if (length > RUN_LAYER_BYTES)
        return too_large(f);
    if (read_options(r, &l, f) == 0 && find_parent(r, &l.parent, f) == 0)
        return begin(a, &l, f);
    layer_request_clear(&l);
    return -1;
}

/* How much the pipe takes. When it is full, on_room() goes on. */
static ssize_t put(struct arrival *a, const void *data, size_t length,
                   struct fault *f) {
    ssize_t n;
    do
        n = write(a->pipe->fd, data, length);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno != EAGAIN)
        return fault_errno(f, "passing on an archive");
    n = n < 0 ? 0 : n;
    if ((size_t)n == length)
        return n;
    pipe_widen(a->pipe);
    return pipe_watch(a->pipe, UV_WRITABLE)
               ? n
               : fault_set(f, 503,
                           "the pipe to an archive's reader cannot be "
                           "watched");
}

static ssize_t layer_write(struct request *r, const void *data, size_t length,
                           struct fault *f) {
    struct arrival *a = request_state(r);
    ssize_t n = -1;
    if (!a->operation)
        *f = a->fault;
    else if ((int64_t)length > RUN_LAYER_BYTES - a->size)
        too_large(f);
    else
        n = put(a, data, length, f);
    if (n < 0)
        abandon(a);
    else
        a->size += n;
    return n;
}

/* ---- the image is made ---- */

static void reply_layer(struct request *r, struct operation *op) {
    struct operation_row row;
    struct image image;
    struct buffer b;
    struct fault f;
    operation_fill_row(op, &row);
    if (operation_fault(op)->status) {
        reply_fault(r, operation_fault(op));
        return;
    }
    if (store_image_by_uuid(request_engine(r)->store, row.result_image, &image,
                            &f) < 0) {
        reply_fault(r, &f);
        return;
    }
    buffer_init(&b, 4096);
    image_write(r, &b, NULL, &image);
    image_clear(&image);
    reply_json(r, 201, &b);
}

static void layer_add(struct request *r) {
    struct arrival *a = request_state(r);
    struct operation *op = a->operation;
    if (!op) {
        reply_fault(r, &a->fault);
        return;
    }
    operation_unwait(op, &a->waiter);
    a->operation = NULL;
    reply_when_made(r, op, "layer", reply_layer);
    pipe_close(&a->pipe); /* the archive is complete */
}

const struct route layers_routes[] = {
    {"POST", "images/*/layers", BODY_STREAM, .handle = layer_add,
     .open = layer_open, .write = layer_write},
    {.method = NULL},
};
