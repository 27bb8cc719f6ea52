/* message.h: an order to init as a packet, with its strings and descriptors;
 * and the reports of init. */
#ifndef CONTREE_SANDBOX_MESSAGE_H
#define CONTREE_SANDBOX_MESSAGE_H

#include "base/fault.h"
#include "init/protocol.h"
#include <stddef.h>
#include <sys/types.h>

/* Owns its descriptors. They are in lists of who made them, by `next`. */
struct message {
    struct message *next;
    int fds[ORDER_FDS_MAX];
    int fd_count;
    size_t length;
    char packet[]; /* struct order, strings */
};

/* The strings of an order, in its packet or, when long, in a memfd. */
struct strings {
    const char *const *list;
    size_t count;
};

/* Packs an order with `count` sets of strings. Takes the descriptors over, also
 * on failure: NULL, with the fault. */
struct message *message_new(struct order *o, const struct strings *sets,
                            size_t count, const int *fds, int fd_count,
                            struct fault *f);
void message_free(struct message *m);

/* FULL: the socket is; NO_ROOM: sockets of the system hold too many descriptors
 * already; NEVER: init is gone. */
enum sending { SENT, FULL, NO_ROOM, NEVER };

/* Does not wait. The message stays the caller's. */
enum sending message_send(int socket, const struct message *m);

/* Reads a report, and the descriptor that came along; *fd stays -1 if none did,
 * or the kernel had no number for it. Returns what recvmsg(2) does. Does not
 * wait. */
ssize_t message_receive(int socket, struct report *r, int *fd);

#endif
