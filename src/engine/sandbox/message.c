/* message.c: see message.h. */
#define _GNU_SOURCE
#include "sandbox/message.h"
#include "base/descriptor.h"
#include "base/scope.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

void message_free(struct message *m) {
    for (int i = 0; i < m->fd_count; i++)
        drop_fd(&m->fds[i]);
    free(m);
}

static size_t strings_size(const struct strings *sets, size_t count) {
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < sets[i].count; j++)
            size += strlen(sets[i].list[j]) + 1;
    return size;
}

static void strings_copy(const struct strings *sets, size_t count, char *to) {
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < sets[i].count; j++)
            to = stpcpy(to, sets[i].list[j]) + 1;
}

static int strings_memfd(const struct strings *sets, size_t count, size_t size,
                         struct fault *f) {
    int fd CLEANUP(cleanup_close) = memfd_create("order", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, size) < 0)
        return fault_errno(f, "cannot pass on a long command");
    void *map = mmap(NULL, size, PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return fault_errno(f, "cannot pass on a long command");
    strings_copy(sets, count, map);
    munmap(map, size);
    return steal_fd(&fd);
}

struct message *message_new(struct order *o, const struct strings *sets,
                            size_t count, const int *fds, int fd_count,
                            struct fault *f) {
    size_t size = strings_size(sets, count);
    bool inside = size <= ORDER_INLINE_MAX;
    size_t length = sizeof *o + (inside ? size : 0);
    struct message *m = calloc(1, sizeof *m + length);
    int memfd = -1;
    if (m && !inside)
        memfd = strings_memfd(sets, count, size, f);
    if (!m || (!inside && memfd < 0)) {
        if (!m)
            fault_memory(f);
        free(m);
        for (int i = 0; i < fd_count; i++)
            close_fd(fds[i]);
        return NULL;
    }
    o->payload = size;
    o->in_memfd = !inside;
    m->length = length;
    memcpy(m->packet, o, sizeof *o);
    if (inside)
        strings_copy(sets, count, m->packet + sizeof *o);
    for (int i = 0; i < fd_count; i++)
        m->fds[m->fd_count++] = fds[i];
    if (memfd >= 0)
        m->fds[m->fd_count++] = memfd;
    return m;
}

enum sending message_send(int socket, const struct message *m) {
    union {
        char space[CMSG_SPACE(ORDER_FDS_MAX * sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    struct iovec part = {.iov_base = (char *)m->packet, .iov_len = m->length};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (m->fd_count > 0) {
        message.msg_control = control.space;
        message.msg_controllen = CMSG_SPACE(m->fd_count * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(m->fd_count * sizeof(int));
        memcpy(CMSG_DATA(c), m->fds, m->fd_count * sizeof(int));
    }
    while (sendmsg(socket, &message, MSG_NOSIGNAL) < 0) {
        if (errno == EAGAIN)
            return FULL;
        if (errno == ETOOMANYREFS || errno == ENOBUFS || errno == ENOMEM)
            return NO_ROOM;
        if (errno != EINTR)
            return NEVER;
    }
    return SENT;
}

/* The descriptor of a message, or -1. There is room for another one in its
 * padding, which is closed. */
static int take_descriptor(struct msghdr *message) {
    int fds[2] = {-1, -1};
    struct cmsghdr *c = CMSG_FIRSTHDR(message);
    if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
        return -1;
    size_t bytes = c->cmsg_len - CMSG_LEN(0);
    memcpy(fds, CMSG_DATA(c), bytes < sizeof fds ? bytes : sizeof fds);
    drop_fd(&fds[1]);
    return fds[0];
}

ssize_t message_receive(int socket, struct report *r, int *fd) {
    union {
        char space[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec part = {.iov_base = r, .iov_len = sizeof *r};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.space,
                             .msg_controllen = sizeof control.space};
    ssize_t got = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got > 0)
        *fd = take_descriptor(&message);
    return got;
}
