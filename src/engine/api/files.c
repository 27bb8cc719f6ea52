/* files.c: /files (http-api.md §4.5 to §4.7). */
#define _GNU_SOURCE
#include "api/api.h"
#include "api/named.h"
#include "api/routes.h"
#include "base/buffer.h"
#include "base/descriptor.h"
#include "base/fault.h"
#include "base/scope.h"
#include "base/uuid.h"
#include "base/work.h"
#include "layer/blob.h"
#include <ctype.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An upload may be as large as a layer. */
#define UPLOAD_MAX RUN_LAYER_BYTES

static void write_members(struct buffer *b, const struct stored_file *x) {
    json_add_string(b, "uuid", x->uuid);
    json_add_string(b, "sha256", x->sha256);
    json_add_int(b, "size", x->size);
}

static void write_file(struct buffer *b, const struct stored_file *x) {
    json_open(b, NULL, '{');
    write_members(b, x);
    json_add_time(b, "created_at", x->created);
    json_add_time(b, "updated_at", x->updated);
    json_close(b, '}');
}

static bool add_file(void *arg, const struct stored_file *x) {
    write_file(arg, x);
    return true;
}

/* Read 64 hex digits of either case; `out` gets them in lower case. */
static bool parse_sha256(const char *text, char out[65]) {
    size_t i = 0;
    for (; i < 64 && isxdigit((unsigned char)text[i]); i++)
        out[i] = (char)tolower((unsigned char)text[i]);
    out[i] = 0;
    return i == 64 && !text[64];
}

static void reply_file(struct request *r, const char *sha256,
                       const char *uuid) {
    struct store *store = request_engine(r)->store;
    struct stored_file file;
    struct buffer b;
    struct fault f = {404, "file not found"};
    char key[65];
    int result = -1;
    if (sha256 && parse_sha256(sha256, key))
        result = store_file_by_sha256(store, key, &file, &f);
    else if (uuid && uuid_parse(uuid, key))
        result = store_file_by_uuid(store, key, &file, &f);
    if (result < 0) {
        reply_fault(r, &f);
        return;
    }
    buffer_init(&b, 4096);
    write_file(&b, &file);
    reply_json(r, 200, &b);
}

static void file_get(struct request *r) {
    reply_file(r, request_param(r, 0), NULL);
}

static void files_list(struct request *r) {
    const struct url *u = request_url(r);
    const char *sha256 = url_parameter(u, "sha256");
    const char *uuid = url_parameter(u, "uuid");
    struct page page;
    struct fault f;
    struct buffer b;
    if (sha256 || uuid) { /* older clients look a file up so (http-api.md §3) */
        reply_file(r, sha256, uuid);
        return;
    }
    api_open_list(&b, "files");
    int result = api_page(r, &page, &f);
    if (result == 0)
        result =
            store_file_list(request_engine(r)->store, &page, add_file, &b, &f);
    api_reply_list(r, &b, result, &f);
}

static void release_upload(void *state) {
    upload_abort(state);
}

static int file_upload_open(struct request *r, int64_t length,
                            struct fault *f) {
    if (length > UPLOAD_MAX)
        return fault_set(f, 413, "the file is larger than %lld bytes",
                         (long long)UPLOAD_MAX);
    struct upload *u = upload_begin(request_engine(r)->dir_fd, UPLOAD_MAX, f);
    if (!u)
        return -1;
    request_own(r, u, release_upload);
    return 0;
}

static ssize_t file_upload_write(struct request *r, const void *data,
                                 size_t length, struct fault *f) {
    return upload_write(request_state(r), data, length, f) < 0
               ? -1
               : (ssize_t)length;
}

struct upload_job {
    struct job job;
    struct request *request; /* NULL: the client has gone */
    struct upload *upload;
    struct stored_file file;
    struct fault fault;
};

static void finish_work(struct job *j) {
    struct upload_job *x = (struct upload_job *)j;
    upload_finish(x->upload, job_engine(j)->store, &x->file, &x->fault);
}

static void finish_done(struct job *j) {
    struct upload_job *x = (struct upload_job *)j;
    struct buffer b;
    if (!x->request) {
        /* Nobody asks any more. */
    } else if (x->fault.status) {
        reply_fault(x->request, &x->fault);
    } else {
        buffer_init(&b, 4096);
        json_open(&b, NULL, '{');
        write_members(&b, &x->file);
        json_close(&b, '}');
        reply_json(x->request, 201, &b);
    }
    free(x);
}

static void file_upload(struct request *r) {
    struct upload_job *x = calloc(1, sizeof *x);
    if (!x) {
        reply_memory(r);
        return;
    }
    x->request = r;
    x->upload = request_state(r);
    request_own(r, NULL, NULL); /* the worker owns it now */
    job_start(&request_engine(r)->workers, &x->job, finish_work, finish_done);
}

/* ---- a file that the client has open ---- */

/* An extension (http-api.md §4.6). */
struct adoption {
    struct upload_job upload; /* first: finish_done() takes it */
    atomic_bool cancelled;
    struct named_file file;
};

static void adopt_work(struct job *j) {
    struct adoption *a = (struct adoption *)j;
    struct fault *f = &a->upload.fault;
    int fd CLEANUP(cleanup_close) = named_file_open(&a->file, f);
    struct upload *u =
        fd < 0 ? NULL : upload_begin(job_engine(j)->dir_fd, UPLOAD_MAX, f);
    if (u && upload_copy(u, fd, &a->cancelled, f) == 0)
        upload_finish(u, job_engine(j)->store, &a->upload.file, f);
    else
        upload_abort(u);
}

static void adopt_gone(void *arg) {
    struct adoption *a = arg;
    a->upload.request = NULL;
    a->cancelled = true;
}

static void file_adopt(struct request *r) {
    struct adoption *a = calloc(1, sizeof *a);
    struct fields in;
    struct fault f;
    if (!a) {
        reply_memory(r);
        return;
    }
    fields_init(&in, request_json(r), "");
    if (named_file_read(r, &in, &a->file, &f) < 0) {
        free(a);
        reply_fault(r, &f);
        return;
    }
    a->upload.request = r;
    request_on_gone(r, adopt_gone, a);
    job_start(&request_engine(r)->workers, &a->upload.job, adopt_work,
              finish_done);
}

const struct route files_routes[] = {
    {"GET", "files", .handle = files_list},
    {"POST", "files", BODY_STREAM, .handle = file_upload,
     .open = file_upload_open, .write = file_upload_write},
    {"GET", "files/*", .handle = file_get},
    {.method = NULL},
};

const struct route files_extensions[] = {
    {"POST", "files/descriptor", BODY_JSON, .handle = file_adopt},
    {.method = NULL},
};
