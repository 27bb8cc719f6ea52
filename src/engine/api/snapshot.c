/* snapshot.c: POST /operations/{id}/snapshot (http-api.md §4.33), an extension.
 */
#include "operation/snapshot.h"
#include "api/active.h"
#include "api/api.h"
#include "api/routes.h"
#include <stdlib.h>

struct snapshot_request {
    struct snapshot_waiter waiter;
    struct request *request;
    struct operation *operation;
};

static void on_done(struct snapshot_waiter *w, const char *image, int64_t size,
                    const struct fault *why) {
    struct snapshot_request *s = (struct snapshot_request *)w;
    struct request *r = s->request;
    struct buffer b;
    free(s);
    request_on_gone(r, NULL, NULL);
    if (why) {
        reply_fault(r, why);
        return;
    }
    buffer_init(&b, 128);
    json_open(&b, NULL, '{');
    json_add_string(&b, "uuid", image);
    json_add_int(&b, "size", size);
    json_close(&b, '}');
    reply_json(r, 201, &b);
}

static void on_gone(void *arg) {
    struct snapshot_request *s = arg;
    operation_forget_snapshot(s->operation, &s->waiter);
    free(s);
}

static void snapshot_post(struct request *r) {
    struct fault f;
    struct operation *op = operation_find_active(r, &f);
    struct snapshot_request *s = op ? calloc(1, sizeof *s) : NULL;
    if (op && !s)
        fault_memory(&f);
    if (s) {
        *s = (struct snapshot_request){{.done = on_done}, r, op};
        if (operation_snapshot(op, &s->waiter, &f) == 0) {
            request_on_gone(r, on_gone, s);
            return;
        }
    }
    free(s);
    reply_fault(r, &f);
}

const struct route snapshot_routes[] = {
    {"POST", "operations/*/snapshot", .handle = snapshot_post},
    {.method = NULL},
};
