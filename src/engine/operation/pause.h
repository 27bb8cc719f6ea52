/* pause.h: stopping a run's processes, and letting them go on. Its time limit
 * stands still meanwhile; it keeps its place among the runs.
 *
 * Where the sandbox has a control group of version 2 that is frozen; elsewhere
 * its init stops the processes by signals. Either way whatever kills a process
 * kills a paused one, so nothing paused outlives its sandbox. */
#ifndef CONTREE_OPERATION_PAUSE_H
#define CONTREE_OPERATION_PAUSE_H

#include "base/fault.h"
#include <stdbool.h>

struct operation;

struct pause_waiter {
    /* NULL: it is paused. The waiter is forgotten before. */
    void (*done)(struct pause_waiter *w, const struct fault *why);
    struct pause_waiter *next;
};
/* 1: it is paused already; 0: done() is called once, from the loop. 425 before
 * the main process runs, 409 after its end, or if it is resumed or ends before
 * all processes have stopped; 503 when one does not stop in time, and then all
 * go on. */
int operation_pause(struct operation *op, struct pause_waiter *w,
                    struct fault *f);
void operation_forget_pause(struct operation *op, struct pause_waiter *w);
/* Does nothing if it is not paused. If it fails, the run is ended. */
int operation_resume(struct operation *op, struct fault *f);
/* Whether it is paused, or about to be. */
bool operation_is_pausing(const struct operation *op);

/* For snapshot.c: the same, beside what clients ask for. Processes go on when
 * neither a client nor a snapshot wants them to be stopped. What they are told
 * to do meanwhile waits (orders.h). */
int pause_hold(struct operation *op, struct pause_waiter *w, struct fault *f);
void pause_release(struct operation *op);
/* Whether only a snapshot has stopped it. */
bool pause_is_held(const struct operation *op);

/* For run.c and end.c: the sandbox has paused, or not all of it; the run has
 * ended; free all. */
void pause_reported(struct operation *op, bool all);
void pause_end(struct operation *op);
void pause_free(struct operation *op);

#endif
