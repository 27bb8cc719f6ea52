/* turn.c: see turn.h. */
#define _GNU_SOURCE
#include "turn.h"
#include "util.h"
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

/* uv_now() is of the turn's begin. */
bool turn_is_long(const uv_loop_t *loop) {
    return uv_hrtime() / 1000000 - uv_now(loop) >= LONG_MS;
}

/* ---- the guard ---- */

/* One loop is guarded, and a signal handler finds this. */
static struct guard {
    uv_prepare_t prepare;
    timer_t timer;
    bool set;
} guard;

static void set_timer(int milliseconds) {
    struct itimerspec t = {
        .it_value = {milliseconds / 1000, milliseconds % 1000 * 1000000L}};
    timer_settime(guard.timer, 0, &t, NULL);
}

/* The clock stands while the loop sleeps: this begins another turn. */
static void on_prepare(uv_prepare_t *prepare) {
    (void)prepare;
    set_timer(TURN_MAX_MS * SLOWNESS);
}

static void on_overrun(int number) {
    (void)number;
    die_strictly("the loop computed for too long in one turn");
}

static int make_timer(void) {
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID,
                             .sigev_signo = GUARD_SIGNAL};
    struct sigaction action = {.sa_handler = on_overrun};
    event._sigev_un._tid = gettid();
    if (sigaction(GUARD_SIGNAL, &action, NULL) < 0)
        return -1;
    return timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &guard.timer);
}

void turn_guard(uv_loop_t *loop) {
    void *frame;
    if (!is_strict() || make_timer() < 0)
        return;
    guard.set = true;
    backtrace(&frame, 1); /* loads what the handler needs */
    uv_prepare_init(loop, &guard.prepare);
    uv_prepare_start(&guard.prepare, on_prepare);
    uv_unref((uv_handle_t *)&guard.prepare);
}

void turn_unguard(void) {
    if (!guard.set)
        return;
    guard.set = false;
    timer_delete(guard.timer);
    uv_close((uv_handle_t *)&guard.prepare, NULL);
}
