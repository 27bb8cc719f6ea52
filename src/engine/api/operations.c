/* operations.c: /operations (http-api.md §4.9 to §4.11). */
#include "api/operations.h"
#include "api/executing.h"
#include "api/plain.h"
#include "api/render.h"
#include "api/routes.h"
#include "api/stored.h"
#include <string.h>

static void operation_get(struct request *r) {
    char uuid[UUID_SIZE];
    struct fault f;
    bool inflight;
    if (api_uuid(r, 0, "operation", uuid, &f) < 0 ||
        url_flag(request_url(r), "inflight", &inflight, &f) < 0) {
        reply_fault(r, &f);
        return;
    }
    struct operation *op = operation_find(request_engine(r)->operations, uuid);
    if (op)
        operation_reply(r, op, inflight);
    else
        operation_reply_stored(r, uuid);
}

/* Cancel an operation: 404, or 409 if it has ended. */
static int cancel(struct engine *e, const char *uuid, struct fault *f) {
    struct operation_row row;
    struct operation *op = operation_find(e->operations, uuid);
    if (op)
        return operation_cancel(op, f);
    if (store_operation_get(e->store, uuid, &row, f) < 0)
        return -1;
    operation_row_clear(&row);
    return fault_set(f, 409, "operation is not cancellable");
}

static void operation_delete(struct request *r) {
    char uuid[UUID_SIZE];
    struct fault f;
    if (api_uuid(r, 0, "operation", uuid, &f) < 0 ||
        cancel(request_engine(r), uuid, &f) < 0)
        reply_fault(r, &f);
    else
        reply_empty(r, 202);
}

/* ---- the list ---- */

static void add_summary(struct buffer *b, const struct operation_row *o) {
    json_open(b, NULL, '{');
    operation_write_summary(b, o);
    json_close(b, '}');
}

struct listing {
    struct operations *all;
    struct executing *executing; /* NULL: the text is written at once */
    const struct operation_filter *filter;
    struct buffer text;
    int64_t skip, left;
};

/* The stored row of an active operation is out of date. */
static bool add_stored(void *arg, const struct operation_row *o) {
    struct listing *l = arg;
    struct operation_row row = *o;
    const struct operation *op =
        operation_is_active(o->status) ? operation_find(l->all, o->uuid) : NULL;
    if (op)
        operation_fill_row(op, &row);
    add_summary(&l->text, &row);
    return true;
}

static bool add_active(void *arg, struct operation *op) {
    struct listing *l = arg;
    const struct operation_filter *x = l->filter;
    struct operation_row row;
    operation_fill_row(op, &row);
    if (strcmp(row.status, x->status) != 0 ||
        (x->kind && strcmp(row.kind, x->kind) != 0) ||
        (x->page.since && row.created < x->page.since) ||
        (x->page.until && row.created > x->page.until) || l->skip-- > 0)
        return true;
    if (!l->executing)
        add_summary(&l->text, &row);
    else if (!executing_add(l->executing, op))
        return false;
    return --l->left > 0;
}

static int read_choice(struct request *r, const char *name,
                       const char *const *choices, const char **out,
                       struct fault *f) {
    *out = url_parameter(request_url(r), name);
    for (; *out && *choices; choices++)
        if (strcmp(*out, *choices) == 0)
            return 0;
    return *out
               ? fault_set(f, 400, "%s has no such value \"%.40s\"", name, *out)
               : 0;
}

static int read_list(struct request *r, struct operation_filter *out,
                     struct fault *f) {
    static const char *const statuses[] = {"PENDING", "ASSIGNED", "EXECUTING",
                                           "SUCCESS", "FAILED",   "CANCELLED",
                                           NULL};
    static const char *const kinds[] = {"instance", "image_import", NULL};
    if (api_page(r, &out->page, f) < 0 ||
        read_choice(r, "status", statuses, &out->status, f) < 0)
        return -1;
    return read_choice(r, "kind", kinds, &out->kind, f);
}

static void operations_list(struct request *r) {
    struct engine *e = request_engine(r);
    struct operation_filter filter;
    struct fault f;
    struct listing l = {.all = e->operations, .filter = &filter};
    if (read_list(r, &filter, &f) < 0) {
        reply_fault(r, &f);
        return;
    }
    l.skip = filter.page.offset;
    l.left = filter.page.limit;
    if (filter.status && strcmp(filter.status, "EXECUTING") == 0 &&
        !api_is_plain(r) && (l.executing = executing_new(r))) {
        operations_visit(e->operations, add_active, &l);
        executing_reply(l.executing);
        return;
    }
    buffer_init(&l.text, REPLY_MAX);
    json_open(&l.text, NULL, '[');
    if (filter.status && operation_is_active(filter.status)) {
        /* The database need not be asked: it has no other active ones. */
        operations_visit(e->operations, add_active, &l);
    } else {
        operations_record(e->operations);
        if (store_operation_list(e->store, &filter, add_stored, &l, &f) < 0) {
            buffer_free(&l.text);
            reply_fault(r, &f);
            return;
        }
    }
    json_close(&l.text, ']');
    reply_json(r, 200, &l.text);
}

const struct route operations_routes[] = {
    {"GET", "operations", .handle = operations_list},
    {"GET", "operations/*", .handle = operation_get},
    {"DELETE", "operations/*", .handle = operation_delete},
    {"GET", "operations/*/events", .handle = operation_events},
    {.method = NULL},
};
