/* turn.c: see turn.h. */
#define _GNU_SOURCE
#include "base/turn.h"
#include "base/descriptor.h"
#include <execinfo.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { LONG_MS = 10, GUARD_SIGNAL = SIGPROF };

#ifdef __SANITIZE_ADDRESS__
enum { SLOWNESS = 6 };
#else
enum { SLOWNESS = 1 };
#endif

/* One loop is watched, and a signal handler finds this. */
static struct {
    bool watched, guarded;
    int limit; /* milliseconds */
    uv_prepare_t prepare;
    int64_t began; /* nanoseconds of the thread's own time */
    timer_t timer;
} turn;

static int64_t thread_time(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

bool turn_is_long(const uv_loop_t *loop) {
    return turn.watched && turn.prepare.loop == loop &&
           thread_time() - turn.began >= LONG_MS * INT64_C(1000000);
}

/* Tests on a slow machine, such as an emulated one, allow more time. */
static int turn_max(void) {
    const char *value = getenv("CONTREE_TEST_SLOWNESS");
    long factor = value ? strtol(value, NULL, 10) : 1;
    if (factor < 1 || factor > 100)
        factor = 1;
    return TURN_MAX_MS * SLOWNESS * (int)factor;
}

static void guard(int milliseconds) {
    struct itimerspec t = {
        .it_value = {milliseconds / 1000, milliseconds % 1000 * 1000000L}};
    timer_settime(turn.timer, 0, &t, NULL);
}

/* Just before the loop sleeps: the clock stands as long as it does. */
static void on_prepare(uv_prepare_t *prepare) {
    (void)prepare;
    turn.began = thread_time();
    if (turn.guarded)
        guard(turn.limit);
}

static void on_overrun(int number) {
    (void)number;
    die_strictly("the loop computed for too long in one turn");
}

static int make_timer(void) {
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID,
                             .sigev_signo = GUARD_SIGNAL};
    struct sigaction action = {.sa_handler = on_overrun};
    void *frame;
    event._sigev_un._tid = gettid();
    backtrace(&frame, 1); /* loads what the handler needs */
    if (sigaction(GUARD_SIGNAL, &action, NULL) < 0)
        return -1;
    return timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &turn.timer);
}

void turn_watch(uv_loop_t *loop) {
    turn.guarded = is_strict() && make_timer() == 0;
    turn.limit = turn_max();
    turn.watched = true;
    turn.began = thread_time();
    uv_prepare_init(loop, &turn.prepare);
    uv_prepare_start(&turn.prepare, on_prepare);
    uv_unref((uv_handle_t *)&turn.prepare);
}

void turn_unwatch(void) {
    if (turn.guarded)
        timer_delete(turn.timer);
    if (turn.watched)
        uv_close((uv_handle_t *)&turn.prepare, NULL);
    turn.guarded = turn.watched = false;
}
