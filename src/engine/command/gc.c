/* gc.c: see gc.h. */
#define _GNU_SOURCE
#include "command/gc.h"
#include "base/buffer.h"
#include "base/json.h"
#include "command/client.h"
#include "command/data.h"
#include <stdio.h>

static void print_line(int64_t count, const char *what, int64_t bytes) {
    printf("  %lld %s%s", (long long)count, what, count == 1 ? "" : "s");
    if (bytes >= 0)
        printf(", %.1f MB", (double)bytes / 1e6);
    putchar('\n');
}

static void print_report(const struct gc_report *r) {
    puts(r->dry_run ? "would remove:" : "removed:");
    print_line(r->images, "untagged image", -1);
    print_line(r->layers, "layer", r->layer_bytes);
    print_line(r->files, "uploaded file", r->file_bytes);
    print_line(r->operations, "operation", -1);
    print_line(r->logs, "event log", r->log_bytes);
}

static void read_report(const json_t *reply, struct gc_report *r) {
    struct fields in;
    fields_init(&in, reply, "");
    field_bool(&in, "dry_run", &r->dry_run);
    field_int(&in, "images", 0, INT64_MAX, &r->images);
    field_int(&in, "layers", 0, INT64_MAX, &r->layers);
    field_int(&in, "layer_bytes", 0, INT64_MAX, &r->layer_bytes);
    field_int(&in, "files", 0, INT64_MAX, &r->files);
    field_int(&in, "file_bytes", 0, INT64_MAX, &r->file_bytes);
    field_int(&in, "operations", 0, INT64_MAX, &r->operations);
    field_int(&in, "logs", 0, INT64_MAX, &r->logs);
    field_int(&in, "log_bytes", 0, INT64_MAX, &r->log_bytes);
}

static int ask_engine(const struct options *o, struct gc_report *out,
                      struct fault *f) {
    struct buffer body;
    buffer_init(&body, 65536);
    json_open(&body, NULL, '{');
    json_add_bool(&body, "dry_run", o->gc.dry_run);
    json_add_int(&body, "untagged_older_than", o->gc.untagged);
    json_add_int(&body, "operations_older_than", o->gc.operations);
    json_add_int(&body, "files_older_than", o->gc.files);
    json_t *reply = local_post(o, "gc", &body, f);
    if (!reply)
        return -1;
    read_report(reply, out);
    json_decref(reply);
    return 0;
}

int gc_command(const struct options *o, struct fault *f) {
    struct engine e = {.config = &o->config, .dir_fd = -1};
    struct gc_report report = {0};
    int result = -1;
    if (data_open(&e, f) == 0)
        result = gc_run(e.dir_fd, e.store, e.layers, &o->gc, &report, f);
    else if (local_is_served(&e, f))
        result = ask_engine(o, &report, f);
    data_close(&e);
    if (result == 0)
        print_report(&report);
    return result;
}
