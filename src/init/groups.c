#define _GNU_SOURCE /* unshare */
#include "init/groups.h"

#include <sched.h>
#include <unistd.h>

int groups_join(const int *fds, unsigned count, struct failure *f) {
    for (unsigned i = 0; i < count; i++)
        if (write(fds[i], "0", 1) != 1)
            return fail_errno(f, "cannot join a control group");
    return 0;
}

int groups_hide(struct failure *f) {
    if (unshare(CLONE_NEWCGROUP) < 0)
        return fail_errno(f, "cannot hide the control groups");
    return 0;
}
