/* api.c: see api.h. */
#include "api/api.h"
#include "api/plain.h"
#include "base/clock.h"
#include "base/work.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

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

void api_open_list(struct buffer *b, const char *key) {
    buffer_init(b, REPLY_MAX);
    json_open(b, NULL, '{');
    json_open(b, key, '[');
}

void api_reply_list(struct request *r, struct buffer *b, int result,
                    const struct fault *f) {
    if (result < 0) {
        buffer_free(b);
        reply_fault(r, f);
        return;
    }
    json_close(b, ']');
    json_close(b, '}');
    reply_json(r, 200, b);
}

int api_uuid(struct request *r, size_t n, const char *what, char out[UUID_SIZE],
             struct fault *f) {
    const char *text = request_param(r, n);
    if (uuid_parse(text, out))
        return 0;
    return fault_set(f, 404, "no %s \"%.80s\"", what, text);
}

void image_write(const struct request *r, struct buffer *b, const char *key,
                 const struct image *i) {
    json_open(b, key, '{');
    json_add_string(b, "uuid", i->uuid);
    json_add_optional(b, "tag", i->tag);
    if (i->user && !api_is_plain(r)) /* an extension (http-api.md §5.1) */
        json_add_string(b, "user", i->user);
    json_add_time(b, "created_at", i->created);
    json_add_optional(b, "operation_uuid", i->operation);
    json_close(b, '}');
}

struct store_change {
    struct job job;
    struct request *request;
    void *state;
    int (*change)(struct engine *e, void *state, struct fault *f);
    void (*reply)(struct request *r, void *state);
    struct fault fault; /* status 0: none */
};

static void change_work(struct job *j) {
    struct store_change *c = (struct store_change *)j;
    if (c->change(job_engine(j), c->state, &c->fault) == 0)
        store_sync(job_engine(j)->store, &c->fault);
}

static void change_done(struct job *j) {
    struct store_change *c = (struct store_change *)j;
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
    struct store_change *c = calloc(1, sizeof *c);
    if (!c || !state) {
        free(c);
        free(state);
        reply_memory(r);
        return;
    }
    *c = (struct store_change){
        .request = r, .state = state, .change = change, .reply = reply};
    job_start(&request_engine(r)->workers, &c->job, change_work, change_done);
}

int api_directory(struct engine *e, const char *asked, struct fault *f) {
    struct stat theirs, ours;
    if (!asked)
        return 0;
    if (fstat(e->dir_fd, &ours) < 0)
        return fault_errno(f, "the data directory");
    if (stat(asked, &theirs) == 0 && theirs.st_dev == ours.st_dev &&
        theirs.st_ino == ours.st_ino)
        return 0;
    return fault_set(f, 409, "this engine serves another data directory: %s",
                     e->config->data_dir);
}
