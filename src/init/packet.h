/* packet.h: packets with descriptors over a sequential packet socket. */
#ifndef CONTREE_INIT_PACKET_H
#define CONTREE_INIT_PACKET_H

#include "init/protocol.h"

#include <stddef.h>

/* Sends one packet, whole or not at all; -1 with errno. */
int packet_send(int socket, const void *data, size_t length, const int *fds,
                int fd_count);
/* The length of the packet, 0 at the end, -1 with errno. Fills `fds` with the
 * descriptors that came along, which the caller owns, and with -1 after them.
 * EMFILE: some of them were lost, and the others are closed. */
long packet_receive(int socket, void *data, size_t size,
                    int fds[ORDER_FDS_MAX]);

#endif
