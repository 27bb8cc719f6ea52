/* quota.h: the engine's sandboxes and what the kernel counts for a user.
 *
 * Of some things the kernel gives each user so many: inotify instances and
 * watches (/proc/sys/user), processes, pending signals, bytes in message queues
 * and locked memory (resource limits). It also counts them for the owner of
 * each user namespace on the way up. Two namespaces between the engine's and
 * the sandboxes' make use of that: through the outer one all sandboxes
 * together get half of what the engine's user has, through the inner one each
 * sandbox, if it has an owner of its own there (init/forkserver.c), half of
 * that. So there is always something left for the user and for others.
 *
 * The kernel counts resource limits like this from 5.14 on. Where /proc/sys is
 * read-only, in some containers, those of /proc/sys/user stay as they are. */
#ifndef CONTREE_SANDBOX_QUOTA_H
#define CONTREE_SANDBOX_QUOTA_H

#include "base/fault.h"
#include "base/scope.h"
#include <stdint.h>

/* Makes both, with all ids that the engine has, for sandboxes of that many ids;
 * `*fd` is the inner one, to be entered with setns by a process of one thread,
 * or -1 where the kernel allows no user namespaces at all: then it makes no
 * sandboxes either, as who wants one is told. 503 when the machine has no
 * more user namespaces. Blocks for a moment, and forks. */
int quota_open(uint32_t ids, int *fd, struct fault *f) MUST_CHECK;

#endif
