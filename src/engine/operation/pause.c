/* pause.c: see pause.h. */
#include "operation/pause.h"
#include "base/clock.h"
#include "base/descriptor.h"
#include "base/scope.h"
#include "operation/internal.h"
#include "operation/schedule.h"
#include "sandbox/cgroup.h"
#include <stdlib.h>

enum { FREEZE_MS = 2000 }; /* a process may be in the middle of a write */

enum pause_state { RUNNING, STOPPING, PAUSED };

struct pausing {
    enum pause_state state;
    int freezer;      /* -1: by signals */
    double left;      /* seconds of the time limit; < 0: there is none */
    unsigned turn;    /* which freezing is the latest */
    unsigned awaited; /* reports of the sandbox */
    bool wanted;      /* by a client */
    unsigned holds;
    struct pause_waiter *waiters, *holders;
};

static void set_state(struct operation *op, enum pause_state state) {
    op->pausing->state = state;
    op->paused = state == PAUSED && op->pausing->wanted;
}

static void answer(struct pause_waiter **waiters, const struct fault *why) {
    struct pause_waiter *w;
    while ((w = *waiters)) {
        *waiters = w->next;
        w->done(w, why);
    }
}

/* Nobody wants it any more. */
static void give_up(struct pausing *p, const struct fault *why) {
    p->wanted = false;
    p->holds = 0;
    answer(&p->waiters, why);
    answer(&p->holders, why);
}

void operation_forget_pause(struct operation *op, struct pause_waiter *w) {
    struct pause_waiter **at = op->pausing ? &op->pausing->waiters : NULL;
    while (at && *at && *at != w)
        at = &(*at)->next;
    if (at && *at)
        *at = w->next;
}

bool operation_is_pausing(const struct operation *op) {
    return op->pausing && op->pausing->state != RUNNING;
}

bool pause_is_held(const struct operation *op) {
    return operation_is_pausing(op) && !op->pausing->wanted;
}

/* ---- letting go ---- */

/* The clock of the run goes on. */
static void go_on(struct operation *op) {
    struct pausing *p = op->pausing;
    set_state(op, RUNNING);
    p->turn++;
    drop_fd(&p->freezer);
    operation_start_clock(op);
    if (p->left < 0)
        return;
    op->deadline = monotonic_seconds() + p->left;
    operations_due(op->all, op->deadline);
}

/* Processes that cannot be let go are killed: nothing stays frozen. It has a
 * sandbox, for it takes orders. */
static int let_go(struct operation *op, struct fault *f) {
    struct pausing *p = op->pausing;
    int rc = p->freezer >= 0 ? cgroup_freeze(p->freezer, false, f)
                             : sandbox_resume(op->sandbox, f);
    go_on(op);
    if (rc < 0 && !op->fault.status)
        op->fault = *f;
    if (rc < 0)
        sandbox_kill(op->sandbox);
    return rc;
}

int operation_resume(struct operation *op, struct fault *f) {
    static const struct fault resumed = {409, "the operation was resumed"};
    struct pausing *p = op->pausing;
    if (op->kind->check_orders(op, f) < 0)
        return -1;
    if (!p || p->state == RUNNING)
        return 0;
    p->wanted = false;
    set_state(op, p->state);
    int rc = p->holds ? 0 : let_go(op, f);
    answer(&p->waiters, rc < 0 ? f : &resumed);
    return rc;
}

void pause_release(struct operation *op) {
    struct pausing *p = op->pausing;
    struct fault f;
    if (p->holds > 0 && --p->holds == 0 && !p->wanted && p->state != RUNNING)
        let_go(op, &f);
}

/* ---- pausing ---- */

/* A wait for the control group, in a worker. */
struct freezing {
    struct job job;
    struct operation *op; /* a reference */
    int freezer;
    unsigned turn;
    bool frozen;
};

static void freezing_work(struct job *j) {
    struct freezing *w = (struct freezing *)j;
    w->frozen = cgroup_await_frozen(w->freezer, FREEZE_MS);
}

static void are_stopped(struct operation *op) {
    struct pausing *p = op->pausing;
    set_state(op, PAUSED);
    answer(&p->waiters, NULL);
    answer(&p->holders, NULL);
}

static void are_late(struct operation *op) {
    struct fault f;
    if (let_go(op, &f) == 0)
        fault_set(&f, 503,
                  "a process did not stop within %d seconds; all go on",
                  FREEZE_MS / 1000);
    give_up(op->pausing, &f);
}

static void freezing_done(struct job *j) {
    struct freezing *w = (struct freezing *)j;
    struct operation *op = w->op;
    struct pausing *p = op->pausing;
    if (p->state == STOPPING && p->turn == w->turn && w->frozen)
        are_stopped(op);
    else if (p->state == STOPPING && p->turn == w->turn)
        are_late(op);
    drop_fd(&w->freezer);
    free(w);
    operation_unref(op);
}

static int freeze(struct operation *op, struct fault *f) {
    struct pausing *p = op->pausing;
    struct freezing *w = calloc(1, sizeof *w);
    if (w)
        w->freezer = sandbox_open_freezer(op->sandbox);
    if (!w || w->freezer < 0 || cgroup_freeze(p->freezer, true, f) < 0) {
        if (!w || w->freezer < 0)
            fault_memory(f);
        else
            drop_fd(&w->freezer);
        free(w);
        drop_fd(&p->freezer);
        return -1;
    }
    w->op = op;
    w->turn = p->turn;
    op->references++;
    job_start(&op->all->engine->workers, &w->job, freezing_work, freezing_done);
    return 0;
}

static int stop(struct operation *op, struct fault *f) {
    if (sandbox_pause(op->sandbox, f) < 0)
        return -1;
    op->pausing->awaited++;
    return 0;
}

static struct pausing *get_pausing(struct operation *op, struct fault *f) {
    if (op->pausing)
        return op->pausing;
    op->pausing = calloc(1, sizeof *op->pausing);
    if (op->pausing)
        op->pausing->freezer = -1;
    else
        fault_memory(f);
    return op->pausing;
}

/* < 0: it has no limit. */
static double time_left(const struct operation *op) {
    double left = op->deadline - monotonic_seconds();
    return !op->deadline ? -1 : left > 0 ? left : 0;
}

static int begin(struct operation *op, struct fault *f) {
    struct pausing *p = op->pausing;
    p->freezer = sandbox_open_freezer(op->sandbox);
    if ((p->freezer >= 0 ? freeze(op, f) : stop(op, f)) < 0)
        return -1;
    set_state(op, STOPPING);
    p->left = time_left(op);
    op->deadline = 0;
    operation_stop_clock(op);
    return 0;
}

/* 1: it is paused; 0: it will be; -1. */
static int request_pause(struct operation *op, struct fault *f) {
    struct pausing *p =
        op->kind->check_orders(op, f) < 0 ? NULL : get_pausing(op, f);
    if (!p || (p->state == RUNNING && begin(op, f) < 0))
        return -1;
    return p->state == PAUSED;
}

static void await_pause(struct pause_waiter **waiters, struct pause_waiter *w) {
    w->next = *waiters;
    *waiters = w;
}

int operation_pause(struct operation *op, struct pause_waiter *w,
                    struct fault *f) {
    int rc = request_pause(op, f);
    if (rc < 0)
        return -1;
    op->pausing->wanted = true;
    set_state(op, op->pausing->state);
    if (rc == 0)
        await_pause(&op->pausing->waiters, w);
    return rc;
}

int pause_hold(struct operation *op, struct pause_waiter *w, struct fault *f) {
    int rc = request_pause(op, f);
    if (rc < 0)
        return -1;
    op->pausing->holds++;
    if (rc == 0)
        await_pause(&op->pausing->holders, w);
    return rc;
}

void pause_reported(struct operation *op, bool all) {
    struct pausing *p = op->pausing;
    if (!p || p->awaited == 0 || --p->awaited > 0 || p->state != STOPPING)
        return;
    if (all)
        are_stopped(op);
    else
        are_late(op);
}

/* ---- the end ---- */

void pause_end(struct operation *op) {
    static const struct fault over = {409, "the operation has ended"};
    struct pausing *p = op->pausing;
    if (!p)
        return;
    p->turn++;
    drop_fd(&p->freezer);
    set_state(op, RUNNING);
    give_up(p, &over);
}

void pause_free(struct operation *op) {
    if (op->pausing)
        drop_fd(&op->pausing->freezer);
    free(steal_pointer(&op->pausing));
}
