/* clock.c: see clock.h. */
#define _GNU_SOURCE
#include "base/clock.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

double monotonic_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int64_t wall_microseconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

void format_time(int64_t microseconds, char out[32]) {
    time_t seconds = (time_t)(microseconds / 1000000);
    int fraction = (int)(microseconds % 1000000);
    if (fraction < 0) {
        seconds--;
        fraction += 1000000;
    }
    struct tm t;
    /* The format has four digits for a year. A damaged row may hold a time
     * beyond that. */
    if (!gmtime_r(&seconds, &t) || t.tm_year < -1900 || t.tm_year > 8099) {
        memcpy(out, "1970-01-01T00:00:00.000000Z", 28);
        return;
    }
    size_t used = strftime(out, 32, "%Y-%m-%dT%H:%M:%S", &t);
    snprintf(out + used, 32 - used, ".%06dZ", fraction);
}
