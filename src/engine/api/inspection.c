/* inspection.c: see inspection.h. */
#define _GNU_SOURCE
#include "api/inspection.h"
#include "base/descriptor.h"
#include <stdlib.h>
#include <string.h>

int inspection_use(struct inspection *i, struct engine *e, struct image *image,
                   struct fault *f) {
    int64_t layer = image->layer;
    i->engine = e;
    memcpy(i->image, image->uuid, UUID_SIZE);
    image_clear(image);
    if (!layer)
        return 0;
    if (store_layer_chain(i->engine->store, layer, &i->layers, &i->layer_count,
                          f) < 0)
        return -1;
    i->next = i->engine->inspections;
    if (i->next)
        i->next->link = &i->next;
    i->link = &i->engine->inspections;
    *i->link = i;
    return 0;
}

int inspection_start(struct request *r, struct inspection *i, struct fault *f) {
    struct engine *e = request_engine(r);
    struct image image;
    char uuid[UUID_SIZE];
    const char *path = url_parameter(request_url(r), "path");
    i->request = r;
    if (api_uuid(r, 0, "image", uuid, f) < 0 ||
        store_image_by_uuid(e->store, uuid, &image, f) < 0 ||
        inspection_use(i, e, &image, f) < 0)
        return -1;
    if (path && *path && !(i->path = path_rooted(path, f)))
        return -1;
    return 0;
}

void inspection_clear(struct inspection *i) {
    if (i->link) {
        *i->link = i->next;
        if (i->next)
            i->next->link = i->link;
        i->link = NULL;
    }
    free(i->layers);
    free(i->path);
}

struct view *inspection_view(const struct inspection *i, struct fault *f) {
    return view_open(i->engine->dir_fd, i->layers, i->layer_count,
                     i->engine->ids, f);
}

static void job_free(struct inspect_job *i) {
    inspection_clear(&i->at);
    if (i->clear)
        i->clear(i);
    buffer_free(&i->reply);
    drop_fd(&i->fd);
    free(i);
}

static void job_work(struct job *j) {
    struct inspect_job *i = (struct inspect_job *)j;
    struct view *v = inspection_view(&i->at, &i->fault);
    if (v && i->work(i, v) < 0 && !i->fault.status)
        fault_set(&i->fault, 500, "the image cannot be read");
    view_close(v);
}

static void job_done(struct job *j) {
    struct inspect_job *i = (struct inspect_job *)j;
    struct request *r = i->at.request;
    if (!r) {
        /* The client has gone. */
    } else if (i->fault.status) {
        reply_fault(r, &i->fault);
    } else if (i->fd >= 0) {
        reply_fd(r, "application/octet-stream", steal_fd(&i->fd), i->size);
    } else if (i->text) {
        reply_text(r, "text/plain", &i->reply);
    } else {
        reply_json(r, 200, &i->reply);
    }
    job_free(i);
}

static void on_gone(void *arg) {
    struct inspect_job *i = arg;
    i->at.request = NULL;
    i->cancelled = true;
}

void *inspect_job_new(struct request *r, size_t bytes,
                      int (*work)(struct inspect_job *j, struct view *v)) {
    struct inspect_job *i = calloc(1, bytes);
    struct fault f;
    if (!i) {
        reply_memory(r);
        return NULL;
    }
    i->fd = -1;
    i->work = work;
    buffer_init(&i->reply, REPLY_MAX);
    if (inspection_start(r, &i->at, &f) == 0)
        return i;
    job_free(i);
    reply_fault(r, &f);
    return NULL;
}

void inspect_job_start(struct inspect_job *i) {
    request_on_gone(i->at.request, on_gone, i);
    job_start(&i->at.engine->workers, &i->job, job_work, job_done);
}

void inspect_job_refuse(struct inspect_job *i, const struct fault *f) {
    struct request *r = i->at.request;
    job_free(i);
    reply_fault(r, f);
}

bool inspect_job_has_path(struct inspect_job *i) {
    static const struct fault missing = {400, "path is required"};
    if (i->at.path)
        return true;
    inspect_job_refuse(i, &missing);
    return false;
}
