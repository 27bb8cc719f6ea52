/* transfer.c: POST /import and /export, for the commands of these names: an
 * extension (http-api.md §4.24). On the Unix socket only, because they read and
 * write files of this machine. */
#define _GNU_SOURCE
#include "transport/transfer.h"
#include "api/api.h"
#include "api/inspection.h"
#include "api/routes.h"
#include "base/buffer.h"
#include "base/fault.h"
#include "base/uuid.h"
#include "base/work.h"
#include "transport/export.h"
#include <stdlib.h>
#include <string.h>

struct transferring {
    struct job job;
    struct inspection at; /* export: the layers stay meanwhile */
    struct request *request;
    struct image_transfer transfer;
    json_t *body; /* owns the strings of `transfer` */
    char uuid[UUID_SIZE];
    atomic_bool cancelled;
    struct fault fault; /* status 0: none */
};

static void work(struct job *j) {
    struct transferring *x = (struct transferring *)j;
    const struct engine *e = job_engine(j);
    const struct importer m = {e->dir_fd, e->store, e->layers, e->ids};
    if (transfer_run(&m, &x->transfer, x->uuid, &x->fault) < 0 &&
        !x->fault.status)
        fault_set(&x->fault, 500, "the transfer failed");
}

static void end(struct transferring *x) {
    inspection_clear(&x->at);
    json_decref(x->body);
    free(x);
}

static void done(struct job *j) {
    struct transferring *x = (struct transferring *)j;
    struct buffer b;
    if (!x->transfer.out)
        job_engine(j)->importing--;
    if (x->request && x->fault.status) {
        reply_fault(x->request, &x->fault);
    } else if (x->request) {
        buffer_init(&b, 4096);
        json_open(&b, NULL, '{');
        json_add_string(&b, "uuid", x->uuid);
        json_close(&b, '}');
        reply_json(x->request, 200, &b);
    }
    end(x);
}

static void on_gone(void *arg) {
    struct transferring *x = arg;
    x->request = NULL;
    x->cancelled = true;
}

static int read_body(struct transferring *x, struct fault *f) {
    struct fields in;
    struct image_transfer *t = &x->transfer;
    const char *directory = NULL;
    fields_init(&in, x->body, "");
    field_string(&in, "data_dir", &directory);
    field_string(&in, "operand", &t->operand);
    field_string(&in, "tag", &t->tag);
    field_string(&in, "output", &t->output);
    field_string(&in, "oci", &t->oci);
    field_string(&in, "registry", &t->registry);
    field_string(&in, "username", &t->login.username);
    field_string(&in, "password", &t->login.password);
    if (in.fault.status) {
        *f = in.fault;
        return -1;
    }
    int goals = !!t->output + !!t->oci + !!t->registry;
    if (!t->operand || !*t->operand || (t->out && goals != 1) ||
        strcmp(t->operand, "-") == 0 || (t->output && *t->output != '/') ||
        (t->oci && *t->oci != '/'))
        return fault_set(
            f, 400,
            "operand is required, and for an export output, oci or registry, "
            "the first two absolute");
    return api_directory(job_engine(&x->job), directory, f);
}

static int begin(struct transferring *x, struct fault *f) {
    struct engine *e = job_engine(&x->job);
    struct image image;
    if (read_body(x, f) < 0)
        return -1;
    if (!x->transfer.out) {
        e->importing++;
    } else if (export_resolve(e->store, x->transfer.operand, &image, f) < 0 ||
               inspection_use(&x->at, e, &image, f) < 0) {
        return -1;
    } else {
        /* Name it by its uuid: the tag may move meanwhile. */
        x->transfer.operand = x->at.image;
    }
    request_on_gone(x->request, on_gone, x);
    job_start(&e->workers, &x->job, work, done);
    return 0;
}

static void start(struct request *r, bool out) {
    struct fault f;
    struct transferring *x = NULL;
    if (!request_is_local(r))
        fault_set(&f, 403,
                  "only the owner of the engine may do this, over its Unix "
                  "socket");
    else if (!(x = calloc(1, sizeof *x)))
        fault_memory(&f);
    else {
        x->request = r;
        x->job.workers = &request_engine(r)->workers;
        x->transfer =
            (struct image_transfer){.out = out, .cancelled = &x->cancelled};
        x->body = json_incref((json_t *)request_json(r));
        if (begin(x, &f) == 0)
            return;
        end(x);
    }
    reply_fault(r, &f);
}

static void import_post(struct request *r) {
    start(r, false);
}

static void export_post(struct request *r) {
    start(r, true);
}

const struct route transfer_routes[] = {
    {"POST", "import", BODY_JSON, .handle = import_post},
    {"POST", "export", BODY_JSON, .handle = export_post},
    {.method = NULL},
};
