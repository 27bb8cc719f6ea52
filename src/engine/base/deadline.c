/* deadline.c: see deadline.h. */
#include "base/deadline.h"
#include "base/clock.h"

bool deadline_is_over(const struct deadline *d) {
    return (d->cancelled && *d->cancelled) ||
           (d->at > 0 && monotonic_seconds() > d->at);
}

int deadline_check(const struct deadline *d, const char *what,
                   struct fault *f) {
    if (d->cancelled && *d->cancelled)
        return fault_set(f, 409, "cancelled");
    if (deadline_is_over(d))
        return fault_set(f, 408, "%s took longer than allowed", what);
    return 0;
}
