/* deadline.h: when long work must stop. */
#ifndef CONTREE_BASE_DEADLINE_H
#define CONTREE_BASE_DEADLINE_H

#include "base/fault.h"
#include <stdatomic.h>
#include <stdbool.h>

struct deadline {
    double at;                    /* monotonic_seconds(); 0: never */
    const atomic_bool *cancelled; /* stops as soon as it is true; may be NULL */
};
bool deadline_is_over(const struct deadline *d);
/* The same as 0 or -1: 409 when cancelled, 408 past the deadline, when `what`
 * took longer than allowed. */
int deadline_check(const struct deadline *d, const char *what, struct fault *f);

#endif
