/* work.c: see work.h. */
#include "work.h"

static void in_worker(uv_work_t *request) {
    struct job *j = request->data;
    j->work(j);
}

static void on_loop(uv_work_t *request, int status) {
    struct job *j = request->data;
    (void)status; /* nobody cancels work here */
    j->engine->jobs--;
    j->done(j);
}

void job_start(struct engine *e, struct job *j, void (*work)(struct job *j),
               void (*done)(struct job *j)) {
    j->engine = e;
    j->work = work;
    j->done = done;
    j->request.data = j;
    e->jobs++;
    uv_queue_work(e->loop, &j->request, in_worker, on_loop);
}
