#define _GNU_SOURCE
#include "init/packet.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SHORT_ATTEMPTS = 1000, SHORT_PAUSE = 1000 /* microseconds */ };

/* A shortage that may be over in a moment. Above all: too many descriptors are
 * under way in sockets of this user. */
static bool is_short(void) {
    return errno == ETOOMANYREFS || errno == ENOBUFS || errno == ENOMEM;
}

int packet_send(int socket, const void *data, size_t length, const int *fds,
                int fd_count) {
    union {
        char space[CMSG_SPACE(ORDER_FDS_MAX * sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    struct iovec part = {.iov_base = (void *)data, .iov_len = length};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (fd_count > 0) {
        message.msg_control = control.space;
        message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
        memcpy(CMSG_DATA(c), fds, fd_count * sizeof(int));
    }
    for (int i = 0; sendmsg(socket, &message, MSG_NOSIGNAL) < 0; i++) {
        if (errno == EINTR)
            continue;
        if (!is_short() || i >= SHORT_ATTEMPTS)
            return -1;
        usleep(SHORT_PAUSE);
    }
    return 0;
}

/* -1 when some are missing: the kernel drops descriptors for which no number is
 * free. */
static int take_descriptors(struct msghdr *message, int fds[ORDER_FDS_MAX]) {
    struct cmsghdr *c = CMSG_FIRSTHDR(message);
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
        memcpy(fds, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
    if (!(message->msg_flags & MSG_CTRUNC))
        return 0;
    for (int i = 0; i < ORDER_FDS_MAX; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    errno = EMFILE;
    return -1;
}

long packet_receive(int socket, void *data, size_t size,
                    int fds[ORDER_FDS_MAX]) {
    union {
        char space[CMSG_SPACE(ORDER_FDS_MAX * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec part = {.iov_base = data, .iov_len = size};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.space,
                             .msg_controllen = sizeof control.space};
    for (int i = 0; i < ORDER_FDS_MAX; i++)
        fds[i] = -1;
    ssize_t got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    if (got > 0 && take_descriptors(&message, fds) < 0)
        return -1;
    return got;
}
