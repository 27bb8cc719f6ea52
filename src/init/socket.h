/* socket.h: sockets inside the sandbox for the engine, which has no way into
 * its network namespace. */
#ifndef CONTREE_INIT_SOCKET_H
#define CONTREE_INIT_SOCKET_H

#include "init/failure.h"
#include "init/protocol.h"

/* A socket that does not block: of IPv4 or IPv6, for the engine to connect, or
 * connected to the Unix socket `path`, which is resolved in here. -1 with a
 * failure. */
int socket_make(uint32_t kind, const char *path, struct failure *f);

#endif
