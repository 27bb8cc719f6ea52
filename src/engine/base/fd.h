/* fd.h: whole reads and writes, and opening what is in a directory only. */
#ifndef CONTREE_BASE_FD_H
#define CONTREE_BASE_FD_H

#include "base/scope.h"
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Whole reads and writes that survive EINTR and short counts; 0 or -1 with
 * errno. */
int write_all(int fd, const void *data, size_t length) MUST_CHECK;
ssize_t read_all(int fd, void *data, size_t length) MUST_CHECK;
/* The same at an offset. A file that ends before is an error: EIO. */
int pwrite_all(int fd, const void *data, size_t length, off_t at) MUST_CHECK;
int pread_all(int fd, void *data, size_t length, off_t at) MUST_CHECK;

/* openat2(2), RESOLVE_* in `resolve`. The kernel refuses a scoped lookup of
 * ".." with EAGAIN when anything on the machine is renamed or mounted
 * meanwhile, so it is tried again, a bounded number of times. -1 with errno. */
int open_scoped(int dir, const char *path, uint64_t flags,
                uint64_t resolve) MUST_CHECK;

/* Writes a text to a file that is there, in one go; -1 with errno. */
int write_to_file(const char *path, const char *text);

/* Makes reads and writes wait; 0 or -1 with errno. */
int set_blocking(int fd) MUST_CHECK;

#endif
