/* diff.c: GET /inspect/{uuid}/diff (http-api.md §4.24): the files that differ
 * between two images. */
#define _GNU_SOURCE
#include "view/diff.h"
#include "api/inspect.h"
#include "api/inspection.h"
#include "base/clock.h"
#include <stdio.h>
#include <string.h>

enum { LIMIT = 100000, LIMIT_MAX = 1000000, SECONDS = 30 };

struct diff_job {
    struct inspect_job job;
    struct inspection base;
    struct diff_options options;
};

static void diff_clear(struct inspect_job *j) {
    inspection_clear(&((struct diff_job *)j)->base);
}

static const char *kind_of(mode_t mode) {
    return S_ISREG(mode)   ? "file"
           : S_ISDIR(mode) ? "directory"
           : S_ISLNK(mode) ? "symlink"
                           : "other";
}

static void add_node(struct buffer *b, const struct stat *st) {
    json_add_string(b, "kind", kind_of(st->st_mode));
    json_add_int(b, "size", st->st_size);
    json_add_int(b, "mode", st->st_mode);
}

static bool add_change(void *arg, const struct change *c) {
    static const char *const words[] = {"added", "changed", "removed"};
    char path[INSPECT_PATH + 1];
    struct buffer *b = arg;
    snprintf(path, sizeof path, "/%s", c->path);
    json_open(b, NULL, '{');
    json_add_name(b, "path", path);
    json_add_string(b, "change", words[c->kind]);
    add_node(b, &c->st);
    if (c->was) {
        json_open(b, "was", '{');
        add_node(b, c->was);
        json_close(b, '}');
    }
    json_close(b, '}');
    return !b->failed;
}

static int diff_work(struct inspect_job *j, struct view *v) {
    struct diff_job *d = (struct diff_job *)j;
    struct buffer *b = &j->reply;
    bool truncated;
    struct view *base = inspection_view(&d->base, &j->fault);
    if (!base)
        return -1;
    d->options.deadline.at = monotonic_seconds() + SECONDS;
    d->options.deadline.cancelled = &j->cancelled;
    json_open(b, NULL, '{');
    json_add_string(b, "base", d->base.image);
    json_add_string(b, "image", j->at.image);
    json_open(b, "changes", '[');
    int result = inspect_diff(base, v, &d->options, add_change, b, &truncated,
                              &j->fault);
    view_close(base);
    if (result == 0 && b->failed)
        return fault_set(&j->fault, 422,
                         "the changes do not fit into a reply; ask with a "
                         "smaller limit");
    json_close(b, ']');
    json_add_bool(b, "truncated", truncated);
    json_close(b, '}');
    return result;
}

/* Strip the slashes at both ends: "/etc/" becomes "etc". */
static const char *trimmed(char *path) {
    char *end = path + strlen(path);
    while (end > path && end[-1] == '/')
        *--end = 0;
    while (*path == '/')
        path++;
    return path;
}

static int read_diff(struct diff_job *d, struct fault *f) {
    const struct url *u = request_url(d->job.at.request);
    const char *base = url_parameter(u, "base");
    struct image image;
    d->options.limit = LIMIT;
    d->options.path = d->job.at.path ? trimmed(d->job.at.path) : NULL;
    d->base.engine = d->job.at.engine;
    if (!base || !*base)
        return fault_set(f, 400, "base is required: a uuid or tag:NAME");
    if (url_int(u, "limit", 1, LIMIT_MAX, &d->options.limit, f) < 0 ||
        store_image_resolve(d->job.at.engine->store, base, &image, f) < 0)
        return -1;
    return inspection_use(&d->base, d->job.at.engine, &image, f);
}

void inspect_diff_get(struct request *r) {
    struct diff_job *d = inspect_job_new(r, sizeof *d, diff_work);
    struct fault f;
    if (!d)
        return;
    d->job.clear = diff_clear;
    if (read_diff(d, &f) < 0)
        inspect_job_refuse(&d->job, &f);
    else
        inspect_job_start(&d->job);
}
