/* listen.h: the sockets that the engine serves on. */
#ifndef CONTREE_HTTP_LISTEN_H
#define CONTREE_HTTP_LISTEN_H

#include "base/fault.h"
#include <stdbool.h>

/* A listening Unix socket of mode 0600 at `path`, made under another name and
 * renamed, so that a stale one is replaced at once. Its directory is made
 * (0700) when missing; 403 when it belongs to somebody else. */
int listen_unix(const char *path, struct fault *f);
/* Whether listen_unix() may make its socket there; makes the directory. */
int listen_check(const char *path, struct fault *f);
/* Whether the process at the other end is of our own user. */
bool peer_is_us(int fd);
/* That process; 0 when it is not to be known. */
long peer_process(int fd);

/* A listening TCP socket for "HOST:PORT" ("127.0.0.1:0", "[::1]:8080");
 * `bound` gets the address with the real port. */
int listen_tcp(const char *address, char bound[64], struct fault *f);

#endif
