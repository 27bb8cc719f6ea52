/* work.h: runs blocking work in a worker thread and takes its result back to
 * the loop. */
#ifndef CONTREE_BASE_WORK_H
#define CONTREE_BASE_WORK_H

#include "base/fault.h"
#include <uv.h>

/* The jobs of one loop. */
struct workers {
    uv_loop_t *loop;
    size_t jobs; /* in workers now */
};

/* Part of a larger struct, as its first member, so that the callbacks find it.
 * It must live until `done` was called; that may free it. */
struct job {
    uv_work_t request;
    struct workers *workers;
    void (*work)(struct job *j); /* in a worker */
    void (*done)(struct job *j); /* on the loop; always called */
};
/* Start `wanted` threads before there is work: libuv aborts when the system
 * refuses it a thread. 503 when there are too few. */
int workers_start(uv_loop_t *loop, int wanted, struct fault *f);
void job_start(struct workers *w, struct job *j, void (*work)(struct job *j),
               void (*done)(struct job *j));

#endif
