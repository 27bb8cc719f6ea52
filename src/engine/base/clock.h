/* clock.h: what time it is. */
#ifndef CONTREE_BASE_CLOCK_H
#define CONTREE_BASE_CLOCK_H

#include <stdint.h>

/* By a clock that nobody can set. */
double monotonic_seconds(void);
/* Since 1970. */
int64_t wall_microseconds(void);
/* 2026-06-08T20:00:00.123456Z; `out` holds at least 32 bytes. */
void format_time(int64_t microseconds, char out[32]);

#endif
