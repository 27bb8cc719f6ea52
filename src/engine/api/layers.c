/* layers.c: POST /images/{uuid}/layers: an image with one layer more, an
 * extension (http-api.md §4.25). The body is kept in a file without a name
 * until it is complete, so that a slow client holds up no worker. */
#define _GNU_SOURCE
#include "api/api.h"
#include "api/made.h"
#include "api/routes.h"
#include "base/buffer.h"
#include "base/descriptor.h"
#include "base/fd.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- the archive arrives ---- */

struct arrival {
    struct layer_request layer;
    int64_t size;
};

static void arrival_free(void *state) {
    struct arrival *a = state;
    layer_request_clear(&a->layer);
    free(a);
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

static int layer_open(struct request *r, int64_t length, struct fault *f) {
    struct arrival *a = calloc(1, sizeof *a);
    struct image parent;
    if (!a)
        return fault_memory(f);
    a->layer.fd = -1;
    request_own(r, a, arrival_free);
    if (length > RUN_LAYER_BYTES)
        return too_large(f);
    f->status = 0;
    if (read_options(r, &a->layer, f) < 0 || find_parent(r, &parent, f) < 0)
        return -1;
    image_clear(&parent); /* it is looked up again when it is used */
    a->layer.fd = openat(request_engine(r)->dir_fd, ".",
                         O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    return a->layer.fd < 0
               ? fault_errno(f, "making a file in the data directory")
               : 0;
}

static ssize_t layer_write(struct request *r, const void *data, size_t length,
                           struct fault *f) {
    struct arrival *a = request_state(r);
    if ((int64_t)length > RUN_LAYER_BYTES - a->size)
        return too_large(f);
    if (write_all(a->layer.fd, data, length) < 0)
        return fault_errno(f, "writing an archive");
    a->size += (int64_t)length;
    return (ssize_t)length;
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
    image_write(&b, NULL, &image);
    image_clear(&image);
    reply_json(r, 201, &b);
}

static void layer_add(struct request *r) {
    struct arrival *a = request_state(r);
    struct operation *op = NULL;
    struct fault f;
    if (lseek(a->layer.fd, 0, SEEK_SET) < 0)
        fault_errno(&f, "reading an archive");
    else if (find_parent(r, &a->layer.parent, &f) == 0)
        op = operation_add_layer(request_engine(r)->operations, &a->layer, &f);
    if (op)
        reply_when_made(r, op, "layer", reply_layer);
    else
        reply_fault(r, &f);
}

const struct route layers_routes[] = {
    {"POST", "images/*/layers", BODY_STREAM, .handle = layer_add,
     .open = layer_open, .write = layer_write},
    {.method = NULL},
};
