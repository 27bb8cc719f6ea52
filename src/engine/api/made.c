/* made.c: see made.h. */
#define _GNU_SOURCE
#include "api/made.h"
#include "api/api.h"
#include "base/clock.h"
#include <stdlib.h>

struct making {
    struct operation_waiter waiter;
    struct request *request;
    struct operation *operation;
    const char *what;
    void (*reply)(struct request *r, struct operation *op);
};

int made_fault(struct operation *op, const char *what, bool ended,
               struct fault *f) {
    struct operation_row row;
    operation_fill_row(op, &row);
    if (!ended) {
        operation_cancel(op, NULL);
        return fault_set(f, 408, "the %s waited for too long", what);
    }
    *f = *operation_fault(op);
    if (f->status)
        return -1;
    return *row.result_image
               ? 0
               : fault_set(f, 409, "operation %s was cancelled", row.uuid);
}

static void on_end(struct operation_waiter *waiter, struct operation *op,
                   bool ended) {
    struct making *m = (struct making *)waiter;
    struct making made = *m;
    struct request *r = made.request;
    struct fault f;
    free(m);
    request_on_gone(r, NULL, NULL);
    bool refused = ended && operation_fault(op)->status;
    if (!refused && made_fault(op, made.what, ended, &f) < 0)
        reply_fault(r, &f);
    else
        made.reply(r, op);
}

static void on_gone(void *arg) {
    struct making *m = arg;
    struct fault f;
    operation_unwait(m->operation, &m->waiter);
    operation_cancel(m->operation, &f); /* 409: it is ending already */
    free(m);
}

void reply_when_made(struct request *r, struct operation *op, const char *what,
                     void (*reply)(struct request *r, struct operation *op)) {
    struct making *m = calloc(1, sizeof *m);
    if (!m) {
        operation_cancel(op, NULL);
        reply_memory(r);
        return;
    }
    *m = (struct making){
        .waiter = {.deadline = monotonic_seconds() + RUN_TIMEOUT_MAX,
                   .done = on_end},
        .request = r,
        .operation = op,
        .what = what,
        .reply = reply};
    operation_wait(op, &m->waiter);
    request_on_gone(r, on_gone, m);
}
