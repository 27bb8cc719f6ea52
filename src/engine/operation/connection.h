/* connection.h: the connections of a run's ports, for ports.c. Loop thread
 * only.
 *
 * A connection goes through the states of `struct connection`; whatever fails
 * on the way, its client sees a reset.
 *
 * A program that does not take its connections fast enough has no room for
 * more. The kernel then drops a request to connect, and would try again a
 * second later. So these connections stand in line: the first is tried again
 * and again, and when it gets through, the next ones follow at once. */
#ifndef CONTREE_OPERATION_CONNECTION_H
#define CONTREE_OPERATION_CONNECTION_H

#include "base/fault.h"
#include "base/listen_tcp.h"
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct operation;
struct connection;

struct port {
    struct port *next;
    struct operation *op; /* a reference */
    int id, fd, open_handles;
    char address[ADDRESS_SIZE];
    int64_t number; /* 0: path */
    char *path;
    size_t connections;
    struct connection *first, *last; /* in line */
    uv_poll_t poll;
    uv_timer_t again;
};

struct ports {
    struct port *list;
    struct connection *connections;
    size_t count, connection_count;
    int next_id;
    unsigned next_order;
    bool over, has_timer;
    unsigned delay;   /* milliseconds until those in line are tried again */
    uv_timer_t timer; /* for that; at the end: ends all */
};

/* NULL: it was taken back. */
struct port *connection_port(const struct operation *op, int id);

/* Takes a client. */
void connection_start(struct port *p, int fd);
/* See ports_socket(). */
void connection_socket(struct operation *op, unsigned id, int fd,
                       const struct fault *why);
/* Ends the connections of a port (0: of all). Those that are relayed drop
 * themselves later; with `finish` when what was sent is passed on. */
void connections_end(struct ports *all, int port, bool finish);
/* Closes the timer; at the end, when no connection is left. */
void connections_close_timer(struct operation *op);

#endif
