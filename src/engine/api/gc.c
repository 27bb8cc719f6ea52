/* gc.c: garbage collection in an engine that serves: once a day, and for POST
 * /gc, an extension (http-api.md §4.24). Of the steps of layer/gc.h, rows are
 * removed on the loop: so no operation begins to use an image meanwhile. */
#define _GNU_SOURCE
#include "api/gc.h"
#include "api/api.h"
#include "api/inspection.h"
#include "api/routes.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/descriptor.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/scope.h"
#include "base/work.h"
#include "layer/gc.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    DAY = 86400,
    WEEK = 7 * DAY,
    RETRY_SECONDS = 3600 /* after a failure */
};
/* The year 2025: a clock that shows an earlier time has not been set yet. */
#define PLAUSIBLE INT64_C(1735689600)
/* A file whose modification time is that of the last collection. */
#define STAMP "gc"

struct collection {
    struct job job;
    struct request *request; /* NULL: no client waits for the report */
    struct gc *gc;
    struct gc_pins pins; /* of this step */
    struct fault fault;  /* status 0: none */
};

static void write_report(struct buffer *b, const struct gc_report *r) {
    json_open(b, NULL, '{');
    json_add_bool(b, "dry_run", r->dry_run);
    json_add_int(b, "images", r->images);
    json_add_int(b, "layers", r->layers);
    json_add_int(b, "layer_bytes", r->layer_bytes);
    json_add_int(b, "files", r->files);
    json_add_int(b, "file_bytes", r->file_bytes);
    json_add_int(b, "operations", r->operations);
    json_add_int(b, "logs", r->logs);
    json_add_int(b, "log_bytes", r->log_bytes);
    json_close(b, '}');
}

static void touch_stamp(struct engine *e) {
    int fd CLEANUP(cleanup_close) = openat(
        e->dir_fd, STAMP, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || futimens(fd, NULL) < 0)
        log_line("cannot note when garbage was collected");
}

static void tell(struct collection *c) {
    struct buffer b;
    if (c->fault.status) {
        reply_fault(c->request, &c->fault);
        return;
    }
    buffer_init(&b, 4096);
    write_report(&b, gc_result(c->gc));
    reply_json(c->request, 200, &b);
}

static void end(struct collection *c) {
    struct engine *e = job_engine(&c->job);
    e->collecting = false;
    if (!gc_result(c->gc)->dry_run)
        touch_stamp(e); /* also after a failure: the next try can wait */
    if (c->request)
        tell(c);
    else if (c->fault.status)
        log_line("garbage collection: %s", c->fault.message);
    gc_pins_free(&c->pins);
    gc_free(c->gc);
    free(c);
}

static void finish_work(struct job *j) {
    struct collection *c = (struct collection *)j;
    if (gc_finish(c->gc, &c->fault) < 0 && !c->fault.status)
        fault_set(&c->fault, 500, "garbage collection failed");
}

static void remove_rows(struct collection *c);

static void finish_done(struct job *j) {
    struct collection *c = (struct collection *)j;
    if (c->fault.status || !gc_has_more(c->gc))
        end(c);
    else
        remove_rows(c);
}

static int make_pins(struct engine *e, struct gc_pins *p, struct fault *f) {
    for (struct inspection *i = e->inspections; i; i = i->next)
        for (size_t n = 0; n < i->layer_count; n++)
            if (!gc_pin_layer(p, i->layers[n]))
                return fault_memory(f);
    p->importing = e->importing > 0;
    return operations_pin(e->operations, p, f);
}

static void count_work(struct job *j) {
    struct collection *c = (struct collection *)j;
    gc_remove_rows(c->gc, &c->pins, &c->fault);
}

static void count_done(struct job *j) {
    end((struct collection *)j);
}

/* Remove as many rows as one turn of the loop can take; the rest come later. */
static void remove_rows(struct collection *c) {
    struct engine *e = job_engine(&c->job);
    bool dry_run = gc_result(c->gc)->dry_run;
    gc_pins_free(&c->pins);
    if (!c->fault.status && make_pins(e, &c->pins, &c->fault) == 0 && !dry_run)
        gc_remove_rows(c->gc, &c->pins, &c->fault);
    if (c->fault.status)
        end(c);
    else if (dry_run)
        job_start(&e->workers, &c->job, count_work, count_done);
    else
        job_start(&e->workers, &c->job, finish_work, finish_done);
}

static void sweep_work(struct job *j) {
    struct collection *c = (struct collection *)j;
    if (gc_sweep(c->gc, &c->fault) < 0 && !c->fault.status)
        fault_set(&c->fault, 500, "garbage collection failed");
}

static void sweep_done(struct job *j) {
    remove_rows((struct collection *)j);
}

static void on_gone(void *arg) {
    ((struct collection *)arg)->request = NULL;
}

static int start(struct engine *e, const struct gc_options *o,
                 struct request *r, struct fault *f) {
    struct collection *c = e->collecting ? NULL : calloc(1, sizeof *c);
    if (!c)
        return e->collecting
                   ? fault_set(f, 409, "garbage is being collected already")
                   : fault_memory(f);
    c->gc = gc_new(e->dir_fd, e->store, e->layers, o, f);
    if (!c->gc) {
        free(c);
        return -1;
    }
    c->request = r;
    if (r)
        request_on_gone(r, on_gone, c);
    e->collecting = true;
    operations_drop_warm(e->operations);
    operations_record(e->operations); /* their images count as used */
    job_start(&e->workers, &c->job, sweep_work, sweep_done);
    return 0;
}

/* Whether the last collection was a day ago. A new directory has no stamp, and
 * no garbage. After a jump of the clock, back or by more than a week,
 * everything may look old although it is not. In both cases only the stamp is
 * renewed, and garbage is collected a day later. */
static bool is_due(struct engine *e) {
    struct stat st;
    time_t now = time(NULL);
    if (now < PLAUSIBLE)
        return false;
    bool stamped = fstatat(e->dir_fd, STAMP, &st, AT_SYMLINK_NOFOLLOW) == 0;
    time_t passed = stamped ? now - st.st_mtim.tv_sec : -1;
    if (passed >= 0 && passed <= WEEK)
        return passed >= DAY;
    touch_stamp(e);
    return false;
}

bool gc_when_due(struct engine *e) {
    static const struct gc_options usual = {.untagged = GC_AGE,
                                            .operations = GC_AGE,
                                            .files = GC_AGE,
                                            .earliest = PLAUSIBLE};
    double now = monotonic_seconds();
    struct fault f;
    if ((e->collected && now - e->collected < RETRY_SECONDS) || !is_due(e))
        return false;
    e->collected = now;
    if (start(e, &usual, NULL, &f) == 0)
        return true;
    log_line("garbage collection: %s", f.message);
    return false;
}

static int read_options(struct request *r, struct gc_options *o,
                        struct fault *f) {
    struct fields in;
    const char *directory = NULL;
    const int64_t most = INT64_C(1000000000);
    *o = (struct gc_options){
        .untagged = GC_AGE, .operations = GC_AGE, .files = GC_AGE};
    fields_init(&in, request_json(r), "");
    field_bool(&in, "dry_run", &o->dry_run);
    field_int(&in, "untagged_older_than", 0, most, &o->untagged);
    field_int(&in, "operations_older_than", 0, most, &o->operations);
    field_int(&in, "files_older_than", 0, most, &o->files);
    field_string(&in, "data_dir", &directory);
    if (in.fault.status) {
        *f = in.fault;
        return -1;
    }
    return api_directory(request_engine(r), directory, f);
}

static void gc_post(struct request *r) {
    struct gc_options o;
    struct fault f;
    if (!request_is_local(r))
        reply_error(r, 403,
                    "only the owner of the engine may do this, over its Unix "
                    "socket");
    else if (read_options(r, &o, &f) < 0 ||
             start(request_engine(r), &o, r, &f) < 0)
        reply_fault(r, &f);
}

const struct route gc_routes[] = {
    {"POST", "gc", BODY_JSON, .handle = gc_post},
    {.method = NULL},
};
