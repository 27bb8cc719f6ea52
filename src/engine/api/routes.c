/* routes.c: the routes, and what their handlers share. */
#include "api/api.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/uuid.h"
#include "base/work.h"
#include <stdlib.h>
#include <string.h>

const struct route api_routes[] = {
    {"GET", "whoami", BODY_NONE, whoami_get, NULL, NULL, NULL},
    {"GET", "images", BODY_NONE, images_list, NULL, NULL, NULL},
    {"POST", "images/import", BODY_JSON, images_import, NULL, NULL, NULL},
    {"PATCH", "images/*/tag", BODY_JSON, image_tag_set, NULL, NULL, NULL},
    {"DELETE", "images/*/tag", BODY_NONE, image_tag_remove, NULL, NULL, NULL},
    {"GET", "files", BODY_NONE, files_list, NULL, NULL, NULL},
    {"POST", "files", BODY_STREAM, file_upload, file_upload_open,
     file_upload_write, NULL},
    {"GET", "files/*", BODY_NONE, file_get, NULL, NULL, NULL},
    {"POST", "instances", BODY_JSON, instances_spawn, NULL, NULL,
     instances_digest},
    {"GET", "operations", BODY_NONE, operations_list, NULL, NULL, NULL},
    {"GET", "operations/*", BODY_NONE, operation_get, NULL, NULL, NULL},
    {"DELETE", "operations/*", BODY_NONE, operation_delete, NULL, NULL, NULL},
    {"GET", "operations/*/events", BODY_NONE, operation_events, NULL, NULL,
     NULL},
    {"POST", "operations/*/subprocesses", BODY_JSON, subprocess_create, NULL,
     NULL, subprocess_digest},
    {"GET", "operations/*/subprocesses/*", BODY_NONE, subprocess_get, NULL,
     NULL, NULL},
    {"DELETE", "operations/*/subprocesses/*", BODY_NONE, subprocess_kill, NULL,
     NULL, NULL},
    {"POST", "operations/*/subprocesses/*/stdin", BODY_BYTES, subprocess_stdin,
     NULL, NULL, subprocess_stdin_digest},
    {"POST", "gc", BODY_JSON, gc_post, NULL, NULL, NULL},
    {"POST", "import", BODY_JSON, import_post, NULL, NULL, NULL},
    {"POST", "export", BODY_JSON, export_post, NULL, NULL, NULL},
    {"GET", "inspect", BODY_NONE, inspect_find, NULL, NULL, NULL},
    {"GET", "inspect/*", BODY_NONE, inspect_image, NULL, NULL, NULL},
    {"GET", "inspect/*/list", BODY_NONE, inspect_list_get, NULL, NULL, NULL},
    {"GET", "inspect/*/download", BODY_NONE, inspect_download, NULL, NULL,
     NULL},
    {"GET", "inspect/*/archive", BODY_NONE, inspect_archive_get, NULL, NULL,
     NULL},
    {"GET", "inspect/*/diff", BODY_NONE, inspect_diff_get, NULL, NULL, NULL},
    {"GET", "inspect/*/grep", BODY_NONE, inspect_grep_get, NULL, NULL, NULL},
    {NULL, NULL, BODY_NONE, NULL, NULL, NULL, NULL},
};

int api_page(struct request *r, struct page *out, struct fault *f) {
    const struct url *u = request_url(r);
    int64_t now = wall_microseconds();
    *out = (struct page){.limit = 100};
    if (url_int(u, "limit", 1, 1000, &out->limit, f) < 0 ||
        url_int(u, "offset", 0, INT64_MAX, &out->offset, f) < 0 ||
        url_time(u, "since", now, &out->since, f) < 0 ||
        url_time(u, "until", now, &out->until, f) < 0)
        return -1;
    return 0;
}

int api_uuid(struct request *r, size_t n, const char *what, char out[UUID_SIZE],
             struct fault *f) {
    const char *text = request_param(r, n);
    if (uuid_parse(text, out))
        return 0;
    return fault_set(f, 404, "no %s \"%.80s\"", what, text);
}

struct change {
    struct job job;
    struct request *request;
    void *state;
    int (*change)(struct engine *e, void *state, struct fault *f);
    void (*reply)(struct request *r, void *state);
    struct fault fault; /* status 0: none */
};

static void change_work(struct job *j) {
    struct change *c = (struct change *)j;
    if (c->change(job_engine(j), c->state, &c->fault) == 0)
        store_sync(job_engine(j)->store, &c->fault);
}

static void change_done(struct job *j) {
    struct change *c = (struct change *)j;
    if (c->fault.status)
        reply_fault(c->request, &c->fault);
    else
        c->reply(c->request, c->state);
    free(c->state);
    free(c);
}

void api_change(struct request *r, void *state,
                int (*change)(struct engine *e, void *state, struct fault *f),
                void (*reply)(struct request *r, void *state)) {
    struct change *c = calloc(1, sizeof *c);
    if (!c || !state) {
        free(c);
        free(state);
        reply_memory(r);
        return;
    }
    *c = (struct change){
        .request = r, .state = state, .change = change, .reply = reply};
    job_start(&request_engine(r)->workers, &c->job, change_work, change_done);
}
