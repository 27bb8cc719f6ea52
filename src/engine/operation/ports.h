/* ports.h: connections from outside to what listens in a run's sandbox.
 *
 * The engine listens. For each connection that it takes, the sandbox's init
 * makes a socket inside (init/socket.h), and the engine connects it and passes
 * bytes to and fro (base/relay.h). The sandbox needs no network for this. Loop
 * thread only. */
#ifndef CONTREE_OPERATION_PORTS_H
#define CONTREE_OPERATION_PORTS_H

#include "base/buffer.h"
#include "base/fault.h"
#include <stdint.h>

struct operation;

/* Where to: a TCP port of 127.0.0.1 or ::1, or the path of a Unix socket. */
struct port_request {
    int64_t port;       /* 0: path */
    const char *path;   /* absolute, inside */
    const char *listen; /* "ADDRESS:PORT"; NULL: any port of 127.0.0.1 */
};
/* Listens; the id of the port, from 1 on. -1: 400 for a malformed address, 425
 * before the main process runs, 409 after its end or when the address is taken,
 * 429 when the run has too many. */
int ports_add(struct operation *op, const struct port_request *r,
              struct fault *f);
/* Stops listening there and ends its connections. 404. */
int ports_remove(struct operation *op, int id, struct fault *f);
/* Add the port with this id as an object. */
void ports_write(struct buffer *b, const struct operation *op, int id);
/* Add all to an array. */
void ports_write_all(struct buffer *b, const struct operation *op);

/* For run.c and end.c: init made a socket, or could not; the run has ended, so
 * that what was sent is passed on, and all is closed; free. */
void ports_socket(struct operation *op, unsigned id, int fd,
                  const struct fault *why);
void ports_end(struct operation *op);
void ports_free(struct operation *op);

#endif
