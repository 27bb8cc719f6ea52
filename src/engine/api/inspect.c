/* inspect.c: /inspect: an image and its files (http-api.md §4.17 to §4.22).
 * Larger endpoints have a file of their own. */
#include "api/inspect.h"
#include "api/inspection.h"
#include "api/routes.h"
#include <stdio.h>

static void inspect_find(struct request *r) {
    const char *tag = url_parameter(request_url(r), "tag");
    struct image image;
    struct fault f;
    char location[UUID_SIZE + 16];
    if (!tag || !*tag) {
        reply_error(r, 400, "tag is required");
        return;
    }
    if (store_image_by_tag(request_engine(r)->store, tag, &image, &f) < 0) {
        reply_fault(r, &f);
        return;
    }
    /* The reference is relative to the request's path (http-api.md §2.4). If
     * that is /v1/inspect, without a slash at its end, the reference replaces
     * its last segment. */
    snprintf(location, sizeof location, "%s%s/",
             request_url(r)->slash ? "" : "inspect/", image.uuid);
    image_clear(&image);
    reply_header(r, "Location", location);
    reply_empty(r, 302);
}

static void inspect_image(struct request *r) {
    char uuid[UUID_SIZE];
    struct image image;
    struct fault f;
    struct buffer b;
    if (api_uuid(r, 0, "image", uuid, &f) < 0 ||
        store_image_by_uuid(request_engine(r)->store, uuid, &image, &f) < 0) {
        reply_fault(r, &f);
        return;
    }
    buffer_init(&b, 4096);
    image_write(r, &b, NULL, &image);
    image_clear(&image);
    reply_json(r, 200, &b);
}

static int download_work(struct inspect_job *i, struct view *v) {
    struct stat st;
    i->fd = inspect_open(v, i->at.path, &st, &i->fault);
    i->size = i->fd < 0 ? 0 : st.st_size;
    return i->fd < 0 ? -1 : 0;
}

static void inspect_download(struct request *r) {
    struct inspect_job *i = inspect_job_new(r, sizeof *i, download_work);
    if (i && inspect_job_has_path(i))
        inspect_job_start(i);
}

const struct route inspect_routes[] = {
    {"GET", "inspect", .handle = inspect_find},
    {"GET", "inspect/*", .handle = inspect_image},
    {"GET", "inspect/*/list", .handle = inspect_list_get},
    {"GET", "inspect/*/download", .handle = inspect_download},
    {"GET", "inspect/*/archive", .handle = inspect_archive_get},
    {"GET", "inspect/*/grep", .handle = inspect_grep_get},
    {.method = NULL},
};

const struct route inspect_extensions[] = {
    {"GET", "inspect/*/diff", .handle = inspect_diff_get},
    {.method = NULL},
};
