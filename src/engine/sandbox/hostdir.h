/* hostdir.h: directories of the host that sandboxes see, read-only.
 *
 * The directory is looked up once, with the rights of the engine. What a
 * sandbox gets is a copy of the mounts at and below it, of which each is
 * read-only, without set-id programs and devices, and cut off from what the
 * host mounts later. Whoever renames or replaces the path afterwards changes
 * nothing for the sandbox. */
#ifndef CONTREE_SANDBOX_HOSTDIR_H
#define CONTREE_SANDBOX_HOSTDIR_H

#include "base/fault.h"
#include <stdbool.h>
#include <stddef.h>

/* What no sandbox may see, and what a request may name. */
struct hostdir_rules {
    int data_dir;            /* the engine's */
    const char *socket_path; /* the engine's, or NULL */
    /* Only directories at or below one of these may be named; NULL: any. */
    const char *const *allowed;
    size_t allowed_count;
};

/* Open the directory as a detached mount, which the caller owns. 403 for one
 * that may not be named; 422 for one that does not exist, that is or holds the
 * engine's own directory, or that shows the kernel's files; 501 before Linux
 * 5.12. It may wait for a file system, so call it in a worker. */
int hostdir_open(const char *path, bool noexec,
                 const struct hostdir_rules *rules, struct fault *f);

#endif
