/* userns.h: the user and group ids of sandboxes.
 *
 * The sandbox's id i is the engine's id `base + i`.
 *
 * - The engine of real root stays in the initial user namespace. It uses the
 *   range that /etc/subuid and /etc/subgid both give to contree or root; if
 *   there is none, all ids from 1,879,048,192 on: over two billion unused ids.
 * - The engine of another user moves into a user namespace in which it is 0.
 *   With subordinate ids, at least 65536 in all, base is 1 (so that root of the
 *   sandbox is not the user) and all of them follow. Without, there is a single
 *   id: base 0, count 1.
 * - Root of a container uses all ids that it has but its own. */
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

/* Does AppArmor keep normal users from using the user namespaces that they make
 * (Ubuntu 24.04)? And the fix. */
bool userns_is_restricted(void);
#define USERNS_FIX                                                             \
    "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"

#endif
