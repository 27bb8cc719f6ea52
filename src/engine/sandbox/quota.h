/* quota.h: keeps sandboxes from using up what the kernel allows a user.
 *
 * The kernel limits some things for each user: inotify instances and watches
 * (/proc/sys/user), processes, pending signals, bytes in message queues and
 * locked memory (resource limits). It also charges them to the owner of each
 * user namespace on the way up. So there are two namespaces between the
 * engine's and the sandboxes'. The outer one limits all sandboxes together to
 * half of what the engine's user has. The inner one limits each sandbox that
 * has an owner of its own there (init/forkserver.c) to half of that. So there
 * is always something left for the user and for other sandboxes.
 *
 * The kernel counts resource limits like this from 5.14 on. Where /proc/sys is
 * read-only, as in some containers, the limits of /proc/sys/user stay as they
 * are. */
#ifndef CONTREE_SANDBOX_QUOTA_H
#define CONTREE_SANDBOX_QUOTA_H

#include "base/fault.h"
#include "base/scope.h"
#include <stdint.h>

/* Makes both, with all ids of the engine, for sandboxes of `ids` ids. `*fd` is
 * the inner one, which the caller owns and a process of one thread may enter
 * with setns; -1 where the kernel allows no user namespaces at all: then the
 * first sandbox fails and says so. 503 when the machine has no more user
 * namespaces. Blocks for a moment, and forks. */
int quota_open(uint32_t ids, int *fd, struct fault *f) MUST_CHECK;

#endif
