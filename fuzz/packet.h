/* packet.h: sends what a fuzzed reader receives. */
#ifndef CONTREE_FUZZ_PACKET_H
#define CONTREE_FUZZ_PACKET_H

#include "input.h"
#include <sys/socket.h>

enum { PACKET_FDS_MAX = 6 };

/* Sends a packet with so many descriptors, which stay the caller's; an empty
 * one is not sent. `flags` as of sendmsg(2). */
static inline void packet_send(int to, void *bytes, size_t length,
                               const int *fds, int count, int flags) {
    union {
        char space[CMSG_SPACE(PACKET_FDS_MAX * sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    struct iovec part = {bytes, length};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (count > 0) {
        message.msg_control = control.space;
        message.msg_controllen = CMSG_SPACE((size_t)count * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
        memcpy(CMSG_DATA(c), fds, (size_t)count * sizeof(int));
    }
    if (length > 0)
        HOLDS(sendmsg(to, &message, MSG_NOSIGNAL | flags) > 0);
}

#endif
