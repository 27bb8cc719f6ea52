/* gc_command.c: see gc_command.h. */
#define _GNU_SOURCE
#include "gc_command.h"
#include "json.h"
#include "serve.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { REPLY_MAX = 65536, PATIENCE = 3600 };

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

/* ---- by the engine that serves ---- */

static int connect_engine(const char *path, struct fault *f) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = PATIENCE};
    int fd CLEANUP(cleanup_close) =
        socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%.107s", path);
    if (fd < 0 || strlen(path) >= sizeof address.sun_path ||
        connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        return fault_set(f, 409,
                         "an engine serves the data directory, but not on %s: "
                         "say --socket, or stop it (contree-engine leaves when "
                         "idle, or on SIGTERM)",
                         path);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return steal_fd(&fd);
}

static int send_request(int fd, const struct options *o, struct fault *f) {
    struct buffer body, all;
    buffer_init(&body, REPLY_MAX);
    buffer_init(&all, 2 * REPLY_MAX);
    json_open(&body, NULL, '{');
    json_add_string(&body, "data_dir", o->config.data_dir);
    json_add_bool(&body, "dry_run", o->gc.dry_run);
    json_add_int(&body, "untagged_older_than", o->gc.untagged);
    json_add_int(&body, "operations_older_than", o->gc.operations);
    json_add_int(&body, "files_older_than", o->gc.files);
    json_close(&body, '}');
    json_end(&body);
    buffer_addf(&all,
                "POST /v1/gc HTTP/1.1\r\nHost: localhost\r\n"
                "Content-Type: application/json\r\nConnection: close\r\n"
                "Content-Length: %zu\r\n\r\n",
                body.length);
    buffer_add(&all, body.data, body.length);
    int result = body.failed || all.failed ? fault_set(f, 500, "out of memory")
                 : write_all(fd, all.data, all.length) < 0
                     ? fault_errno(f, "asking the engine")
                     : 0;
    buffer_free(&body);
    buffer_free(&all);
    return result;
}

/* The JSON body of the reply and its status. */
static json_t *read_reply(int fd, int *status, struct fault *f) {
    char *text CLEANUP(cleanup_free) = malloc(REPLY_MAX + 1);
    ssize_t length = text ? read_all(fd, text, REPLY_MAX) : -1;
    if (length < 0) {
        fault_errno(f, "waiting for the engine");
        return NULL;
    }
    text[length] = 0;
    const char *body = strstr(text, "\r\n\r\n");
    if (!body || sscanf(text, "HTTP/1.1 %d", status) != 1) {
        fault_set(f, 500, "the engine did not answer");
        return NULL;
    }
    return json_parse(body + 4, strlen(body + 4), f);
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
    int status = 0;
    int fd CLEANUP(cleanup_close) = connect_engine(o->socket_path, f);
    if (fd < 0 || send_request(fd, o, f) < 0)
        return -1;
    json_t *reply = read_reply(fd, &status, f);
    if (!reply)
        return -1;
    const char *error = json_string_value(json_object_get(reply, "error"));
    int result = status == 200 ? 0
                               : fault_set(f, status, "%s",
                                           error ? error : "it was refused");
    if (result == 0)
        read_report(reply, out);
    json_decref(reply);
    return result;
}

int gc_command(const struct options *o, struct fault *f) {
    struct engine e = {.config = &o->config, .dir_fd = -1};
    struct gc_report report = {0};
    int result = -1;
    if (data_open(&e, f) == 0)
        result = gc_run(e.dir_fd, e.store, e.layers, &o->gc, &report, f);
    else if (f->status == 409 && e.dir_fd >= 0 && !e.store)
        result = ask_engine(o, &report, f);
    data_close(&e);
    if (result == 0)
        print_report(&report);
    return result;
}
