/* listen_tcp.h: listening TCP sockets. */
#ifndef CONTREE_BASE_LISTEN_TCP_H
#define CONTREE_BASE_LISTEN_TCP_H

#include "base/fault.h"
#include <stdbool.h>

enum { LISTEN_BACKLOG = 1024, ADDRESS_SIZE = 64 };

/* Make a listening TCP socket for "HOST:PORT" ("127.0.0.1:0", "[::1]:8080").
 * `bound` gets the address with the port that was bound. `what` names the
 * address in errors. A name is looked up, which may take time, unless the host
 * has to be `numeric`. */
int listen_tcp(const char *address, const char *what, bool numeric,
               char bound[ADDRESS_SIZE], struct fault *f);

#endif
