/* work.c: see work.h. */
#define _GNU_SOURCE
#include "base/work.h"
#include "base/descriptor.h"
#include "base/fd.h"
#include "base/scope.h"
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WORKERS_MAX = 64, ENDING_MS = 1000 };

/* ---- starting them ---- */

static void *wait_for_gate(void *gate) {
    pthread_mutex_lock(gate);
    pthread_mutex_unlock(gate);
    return NULL;
}

/* How many threads of ours the kernel counts; 0: it does not say. */
static int count_threads(void) {
    char text[2048];
    int fd CLEANUP(cleanup_close) =
        open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read_all(fd, text, sizeof text - 1);
    text[got > 0 ? got : 0] = '\0';
    const char *line = strstr(text, "\nThreads:");
    return line ? (int)strtol(line + strlen("\nThreads:"), NULL, 10) : 0;
}

/* One that was joined is still counted for a moment. */
static void wait_for_ends(int before) {
    for (int ms = 0; ms < ENDING_MS && count_threads() > before; ms++)
        usleep(1000);
}

/* Whether the system lets us have that many threads now: 0, or an error. */
static int try_threads(int wanted) {
    pthread_t threads[WORKERS_MAX];
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    int made = 0, error = 0, before = count_threads();
    pthread_mutex_lock(&gate);
    while (error == 0 && made < wanted) {
        error = pthread_create(&threads[made], NULL, wait_for_gate, &gate);
        made += error == 0;
    }
    pthread_mutex_unlock(&gate);
    while (made > 0)
        pthread_join(threads[--made], NULL);
    wait_for_ends(before);
    return error;
}

static void nothing(uv_work_t *request) {
    (void)request;
}

static void forget(uv_work_t *request, int status) {
    (void)status;
    free(request);
}

int workers_start(uv_loop_t *loop, int wanted, struct fault *f) {
    char count[16];
    int error = try_threads(wanted);
    if (error)
        return fault_set(f, 503,
                         "cannot start %d worker threads (%s). Fix: let the "
                         "engine have more processes (ulimit -u, or the pids "
                         "limit of its container or systemd unit)",
                         wanted, uv_strerror(-error));
    uv_work_t *first = malloc(sizeof *first);
    if (!first)
        return fault_memory(f);
    snprintf(count, sizeof count, "%d", wanted);
    setenv("UV_THREADPOOL_SIZE", count, 1);
    return uv_queue_work(loop, first, nothing, forget);
}

/* ---- jobs ---- */

static void in_worker(uv_work_t *request) {
    struct job *j = request->data;
    j->work(j);
}

static void on_loop(uv_work_t *request, int status) {
    struct job *j = request->data;
    (void)status; /* nobody cancels work here */
    j->workers->jobs--;
    j->done(j);
}

void job_start(struct workers *w, struct job *j, void (*work)(struct job *j),
               void (*done)(struct job *j)) {
    j->workers = w;
    j->work = work;
    j->done = done;
    j->request.data = j;
    w->jobs++;
    uv_queue_work(w->loop, &j->request, in_worker, on_loop);
}
