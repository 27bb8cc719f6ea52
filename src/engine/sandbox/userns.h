/* userns.h: which user and group ids the engine has to give away.
 *
 * The sandbox's id i is the engine's id `base + i`. An engine run by real root
 * stays in the initial user namespace: it takes the range that /etc/subuid and
 * /etc/subgid both give to contree or root, and where there is none all ids
 * from 1,879,048,192 on, over two billion that nobody has. An engine run by
 * anybody else moves into a user namespace where it is 0: with subordinate ids,
 * at least 65536 in all, base is 1 (so that root of the sandbox is not the
 * user) and all of them follow, without them there is a single id, base 0
 * count 1. Root of a container gives all ids it has but its own. */
#ifndef CONTREE_SANDBOX_USERNS_H
#define CONTREE_SANDBOX_USERNS_H

#include "base/fault.h"
#include "base/ids.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

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
