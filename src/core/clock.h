/* clock.h: the clock of all timeouts. */
#ifndef CONTREE_CLOCK_H
#define CONTREE_CLOCK_H

#include <time.h>

/* Monotonic seconds. */
static inline double clock_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

#endif
