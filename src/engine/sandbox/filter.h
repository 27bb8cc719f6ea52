/* filter.h: the system call filter of every sandbox. */
#ifndef CONTREE_SANDBOX_FILTER_H
#define CONTREE_SANDBOX_FILTER_H

#include "base/fault.h"

/* Compiles the filter into a memfd that holds an array of struct sock_filter.
 * The descriptor, which the caller owns, or -1. The policy:
 *
 *   EPERM    calls that reach the kernel itself: mounts, namespaces, modules,
 *            time, keyrings, bpf, io_uring, file handles
 *   ENOSYS   calls newer than this policy, and clone3, whose flags cannot be
 *            filtered
 *   killed   a process that makes calls of another ABI (i386, x32)
 *
 * Everything else is allowed. */
int filter_compile(struct fault *f);

#endif
