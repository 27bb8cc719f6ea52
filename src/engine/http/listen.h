/* listen.h: the sockets that the engine serves on. */
#ifndef CONTREE_HTTP_LISTEN_H
#define CONTREE_HTTP_LISTEN_H

#include "base/fault.h"
#include <stdbool.h>

/* Make a Unix socket for listen_unix(). The caller closes it. */
int listen_socket(struct fault *f);
/* Have it listen at `path`, with mode 0600; for our group, too, with mode 0660.
 * It replaces a stale one atomically. Its directory is made (0700, 0750) if it
 * is missing; 403 if that belongs to another user. Do all that may fail before:
 * a client that finds the socket expects an answer. */
int listen_unix(int fd, const char *path, bool group, struct fault *f);
/* Check whether listen_unix() could make its socket there; makes the directory.
 */
int listen_check(const char *path, struct fault *f);
/* Whether the process at the other end runs as our own user. */
bool peer_is_us(int fd);
/* Whether that process has our group among its own. */
bool peer_has_our_group(int fd);
/* The id of that process; 0 if the kernel does not tell. */
long peer_process(int fd);

#endif
