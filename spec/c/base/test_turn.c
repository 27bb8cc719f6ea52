/* test_turn.c: a turn of the loop that takes too long is detected. */
#define _GNU_SOURCE
#include "base/turn.h"
#include "check.h"
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double computed(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void compute(double seconds) {
    for (double until = computed() + seconds; computed() < until;)
        continue;
}

static bool was_long[2];

static void in_one_go(uv_timer_t *timer) {
    was_long[0] = turn_is_long(timer->loop);
    compute(2);
    was_long[1] = turn_is_long(timer->loop);
}

static void asleep(uv_timer_t *timer) {
    (void)timer;
    usleep(500000);
}

static void in_pieces(uv_timer_t *timer) {
    static int pieces;
    compute(0.01);
    if (++pieces == 100)
        uv_timer_stop(timer);
}

/* Call `callback` from the loop of a child. Return the signal that killed the
 * child, or 0. */
static int run(uv_timer_cb callback, uint64_t repeat) {
    int status = 0;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        uv_timer_t timer;
        turn_watch(uv_default_loop());
        uv_timer_init(uv_default_loop(), &timer);
        /* The first turn is watched only in part, so wait for a later one. */
        uv_update_time(uv_default_loop());
        uv_timer_start(&timer, callback, 50, repeat);
        uv_run(uv_default_loop(), UV_RUN_DEFAULT);
        turn_unwatch();
        _exit(was_long[0] || (callback == in_one_go && !was_long[1]));
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}

static void strict(void) {
    setenv("CONTREE_STRICT", "1", 1);
    CHECK_NUMBER(run(in_one_go, 0), SIGABRT);
    CHECK_NUMBER(run(asleep, 0), 0);
    CHECK_NUMBER(run(in_pieces, 1), 0);
}

static void lenient(void) {
    unsetenv("CONTREE_STRICT");
    CHECK_NUMBER(run(in_one_go, 0), 0);
}

int main(void) {
    RUN(strict, "F5: a strict program ends in a turn that computes too long");
    RUN(lenient, "F5: others are told that a turn is long");
    return CHECK_DONE();
}
