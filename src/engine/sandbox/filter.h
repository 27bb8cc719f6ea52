/* filter.h: the system call filter of every sandbox. */
#ifndef CONTREE_SANDBOX_FILTER_H
#define CONTREE_SANDBOX_FILTER_H

#include "base/fault.h"

/* Compiles the filter, once, into a memfd that holds an array of struct
 * sock_filter. Policy: everything is allowed but what reaches for the kernel
 * itself (mounts, namespaces, modules, time, keyrings, bpf, io_uring, other
 * processes' memory, file handles): EPERM; system calls newer than this
 * policy and clone3, whose flags cannot be filtered: ENOSYS; other machine
 * ABIs (i386, x32): the process is killed. Returns the descriptor or -1. */
int filter_compile(struct fault *f);

#endif
