/* pause.c: stopping a run and letting it go on (http-api.md §4.27), an
 * extension. */
#include "operation/pause.h"
#include "api/active.h"
#include "api/api.h"
#include "api/routes.h"
#include <stdlib.h>

struct pause_request {
    struct pause_waiter waiter;
    struct request *request;
    struct operation *operation;
};

static void reply_paused(struct request *r, bool paused) {
    struct buffer b;
    buffer_init(&b, 64);
    json_open(&b, NULL, '{');
    json_add_bool(&b, "paused", paused);
    json_close(&b, '}');
    reply_json(r, 200, &b);
}

static void on_paused(struct pause_waiter *w, const struct fault *why) {
    struct pause_request *p = (struct pause_request *)w;
    struct request *r = p->request;
    free(p);
    request_on_gone(r, NULL, NULL);
    if (why)
        reply_fault(r, why);
    else
        reply_paused(r, true);
}

static void on_gone(void *arg) {
    struct pause_request *p = arg;
    operation_forget_pause(p->operation, &p->waiter);
    free(p);
}

static void pause_post(struct request *r) {
    struct fault f;
    struct operation *op = operation_find_active(r, &f);
    struct pause_request *p = op ? calloc(1, sizeof *p) : NULL;
    int rc = -1;
    if (op && !p)
        fault_memory(&f);
    if (p) {
        *p = (struct pause_request){{.done = on_paused}, r, op};
        rc = operation_pause(op, &p->waiter, &f);
    }
    if (rc == 0) {
        request_on_gone(r, on_gone, p);
        return;
    }
    free(p);
    if (rc > 0)
        reply_paused(r, true);
    else
        reply_fault(r, &f);
}

static void resume_post(struct request *r) {
    struct fault f;
    struct operation *op = operation_find_active(r, &f);
    if (!op || operation_resume(op, &f) < 0)
        reply_fault(r, &f);
    else
        reply_paused(r, false);
}

const struct route pause_routes[] = {
    {"POST", "operations/*/pause", .handle = pause_post},
    {"POST", "operations/*/resume", .handle = resume_post},
    {.method = NULL},
};
