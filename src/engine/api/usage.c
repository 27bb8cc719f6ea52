/* usage.c: what a run uses now (http-api.md §4.28), an extension, and the list
 * of the runs that go on, which tells the same of each. */
#include "operation/usage.h"
#include "api/active.h"
#include "api/api.h"
#include "api/executing.h"
#include "api/render.h"
#include "api/routes.h"
#include <stdlib.h>
#include <string.h>

/* ---- one ---- */

struct usage_request {
    struct job job;
    struct request *request;
    struct usage_source source;
    struct usage usage;
    struct fault fault; /* status 0: none */
};

static void one_work(struct job *j) {
    struct usage_request *u = (struct usage_request *)j;
    usage_read(&u->source, &u->usage, &u->fault);
}

static void one_done(struct job *j) {
    struct usage_request *u = (struct usage_request *)j;
    struct buffer b;
    usage_close(&u->source);
    buffer_init(&b, 1024);
    usage_write(&b, NULL, &u->usage);
    if (u->fault.status) {
        buffer_free(&b);
        reply_fault(u->request, &u->fault);
    } else {
        reply_json(u->request, 200, &b);
    }
    free(u);
}

static void usage_get(struct request *r) {
    struct fault f;
    struct operation *op = operation_find_active(r, &f);
    struct usage_request *u = op ? calloc(1, sizeof *u) : NULL;
    if (op && !u)
        fault_memory(&f);
    if (!u || operation_usage(op, &u->source, &f) < 0) {
        free(u);
        reply_fault(r, &f);
        return;
    }
    u->request = r;
    job_start(&request_engine(r)->workers, &u->job, one_work, one_done);
}

const struct route usage_routes[] = {
    {"GET", "operations/*/usage", .handle = usage_get},
    {.method = NULL},
};

/* ---- all that are listed ---- */

struct entry {
    struct operation_row row; /* owns `error` alone of its strings */
    struct usage_source source;
    struct usage usage;
    bool open, known;
};

struct executing {
    struct job job;
    struct request *request;
    struct entry *list;
    size_t count, capacity;
};

struct executing *executing_new(struct request *r) {
    struct executing *x = calloc(1, sizeof *x);
    if (x)
        x->request = r;
    return x;
}

bool executing_add(struct executing *x, const struct operation *op) {
    struct fault f;
    if (x->count == x->capacity) {
        size_t capacity = x->capacity ? 2 * x->capacity : 16;
        struct entry *grown = realloc(x->list, capacity * sizeof *grown);
        if (!grown)
            return false;
        x->list = grown;
        x->capacity = capacity;
    }
    struct entry *e = &x->list[x->count++];
    *e = (struct entry){.known = false};
    operation_fill_row(op, &e->row);
    e->row.error = e->row.error ? strdup(e->row.error) : NULL;
    e->row.tag = e->row.metadata = NULL;
    e->open = operation_usage(op, &e->source, &f) == 0;
    return true;
}

static void all_work(struct job *j) {
    struct executing *x = (struct executing *)j;
    struct fault f;
    for (struct entry *e = x->list; e < x->list + x->count; e++)
        e->known = e->open && usage_read(&e->source, &e->usage, &f) == 0;
}

/* The API's own fields, too, which have the largest process after the end. */
static void use(struct operation_row *row, const struct usage *u) {
    enum { KIB = 1024 };
    row->consumed_cpu = u->cpu_seconds;
    row->consumed_memory =
        (u->memory_peak_bytes > 0 ? u->memory_peak_bytes : u->memory_bytes) /
        KIB;
}

static void add_entry(struct buffer *b, struct entry *e) {
    if (e->known)
        use(&e->row, &e->usage);
    json_open(b, NULL, '{');
    operation_write_summary(b, &e->row);
    if (e->known)
        usage_write(b, "usage", &e->usage);
    json_close(b, '}');
}

static void all_done(struct job *j) {
    struct executing *x = (struct executing *)j;
    struct buffer b;
    buffer_init(&b, REPLY_MAX);
    json_open(&b, NULL, '[');
    for (struct entry *e = x->list; e < x->list + x->count; e++) {
        add_entry(&b, e);
        free(e->row.error);
        if (e->open)
            usage_close(&e->source);
    }
    json_close(&b, ']');
    reply_json(x->request, 200, &b);
    free(x->list);
    free(x);
}

void executing_reply(struct executing *x) {
    job_start(&request_engine(x->request)->workers, &x->job, all_work,
              all_done);
}
