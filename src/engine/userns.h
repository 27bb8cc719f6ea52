/* userns.h: which user and group ids the engine has to give away.
 *
 * The sandbox's id i is the engine's id `base + i`. An engine run by real root
 * stays in the initial user namespace and takes base from /etc/subuid
 * (contree's or root's range) or 1,879,048,192 when there is none. An engine
 * run by anybody else moves into a user namespace where it is 0: with a subuid
 * range base is 1 (so that root of the sandbox is not the user), without one
 * there is a single id, base 0 count 1. */
#ifndef CONTREE_USERNS_H
#define CONTREE_USERNS_H

#include "util.h"

struct id_range {
    uid_t base;     /* also the first group id */
    uint32_t count; /* 65536, fewer in a narrow container, or 1: only id 0
                     * exists in the sandbox */
};

/* Moves the process into a user namespace if it needs one and fills `out`.
 * Call it first in main, before any thread exists. 503 with the fix in words
 * when the machine forbids it. */
int userns_enter(struct id_range *out, struct fault *f);

/* Whether AppArmor keeps this machine's normal users from using the user
 * namespaces that it lets them make (Ubuntu 24.04), and what to do then. */
bool userns_is_restricted(void);
#define USERNS_FIX                                                             \
    "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"

#endif
