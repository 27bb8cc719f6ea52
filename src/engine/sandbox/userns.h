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

struct id_range {
    uid_t base;     /* also the first group id */
    uint32_t count; /* 1: only id 0 exists in the sandbox */
};

/* Moves the process into a user namespace if it needs one and fills `out`.
 * Call it first in main, before any thread exists. 503 with the fix in words
 * when the machine forbids it. */
int userns_enter(struct id_range *out, struct fault *f);

/* What to do for more ids. */
#define IDS_FIX                                                                \
    "for more give its user a (larger) range in /etc/subuid and /etc/subgid "  \
    "and start it again"

/* For a child of one thread that is about to make a user namespace, which the
 * kernel forbids inside a chroot: gives a process of real root the root of its
 * mount namespace, and that as working directory. Others stay where they are,
 * for whom the chroot is a wall. */
void leave_chroot(void);

/* Whether AppArmor keeps this machine's normal users from using the user
 * namespaces that it lets them make (Ubuntu 24.04), and what to do then. */
bool userns_is_restricted(void);
#define USERNS_FIX                                                             \
    "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"

#endif
