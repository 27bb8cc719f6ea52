/* listen.h: the sockets that the engine serves on. */
#ifndef CONTREE_HTTP_LISTEN_H
#define CONTREE_HTTP_LISTEN_H

#include "base/fault.h"
#include <stdbool.h>

/* Make a listening Unix socket of mode 0600 at `path`. It replaces a stale one
 * atomically. Its directory is made (0700) if it is missing; 403 if that
 * belongs to another user. */
int listen_unix(const char *path, struct fault *f);
/* Check whether listen_unix() could make its socket there; makes the directory.
 */
int listen_check(const char *path, struct fault *f);
/* Whether the process at the other end runs as our own user. */
bool peer_is_us(int fd);
/* The id of that process; 0 if the kernel does not tell. */
long peer_process(int fd);

#endif
