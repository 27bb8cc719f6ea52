#define _GNU_SOURCE /* struct ucred */
#include "descriptors.h"
#include "lua_compat.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef SOCK_CLOEXEC
#define SOCK_CLOEXEC 0
#endif

enum { WINDOW = 64 }; /* bits of struct fd_window */

static bool is_kept(int fd) {
    int flags = fcntl(fd, F_GETFD);
    return flags < 0 || (flags & FD_CLOEXEC) != 0;
}

static void keep(int fd) {
    if (!is_kept(fd))
        fcntl(fd, F_SETFD, FD_CLOEXEC);
}

curl_socket_t descriptors_open_socket(void *user, curlsocktype purpose,
                                      struct curl_sockaddr *address) {
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC,
                    address->protocol);
    (void)user;
    (void)purpose;
    if (fd < 0)
        return CURL_SOCKET_BAD;
    if (SOCK_CLOEXEC == 0)
        keep(fd);
    return fd;
}

/* The inode of an inheritable socket that may be an end of a pair made by this
 * process; else 0. */
static ino_t end_of_pair(int fd) {
#ifdef SO_PEERCRED
    struct ucred peer = {0};
    socklen_t size = sizeof peer;
    int domain = 0;
    socklen_t domain_size = sizeof domain;
    struct stat status;

    if (is_kept(fd) || fstat(fd, &status) < 0 || !S_ISSOCK(status.st_mode) ||
        getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &domain_size) < 0 ||
        domain != AF_UNIX ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return 0;
    return peer.pid == getpid() ? status.st_ino : 0;
#else
    (void)fd;
    return 0;
#endif
}

/* The inodes of the two ends follow one another, as they are made together. So
 * the sockets of other threads are left alone. */
static void keep_pair(int fd, int limit) {
    ino_t one = end_of_pair(fd), other;
    if (one == 0)
        return;
    for (int i = fd + 1; i < limit; i++) {
        other = end_of_pair(i);
        if (other != one + 1 && (other == 0 || other != one - 1))
            continue;
        keep(fd);
        keep(i);
        return;
    }
}

struct fd_window descriptors_look(void) {
    int error = errno;
    struct fd_window now = {open("/dev/null", O_RDONLY | O_CLOEXEC), 0};
    if (now.first >= 0)
        close(now.first);
    for (int i = 0; now.first >= 0 && i < WINDOW; i++)
        if (fcntl(now.first + i, F_GETFD) >= 0)
            now.taken |= (uint64_t)1 << i;
    errno = error;
    return now;
}

void descriptors_keep_new(const struct fd_window *before) {
    int error = errno;
    for (int i = 0; before->first >= 0 && i < WINDOW; i++)
        if ((before->taken >> i & 1) == 0)
            keep_pair(before->first + i, before->first + WINDOW);
    errno = error;
}

void descriptors_keep(int fd) {
    const int reach = 256; /* the other end has one of the next numbers */
    if (is_kept(fd))
        return;
    keep_pair(fd, fd + reach);
    keep(fd);
}

int descriptors_lua_keep(lua_State *L) {
    /* The first member of a file in every Lua. */
    FILE **file = luaL_checkudata(L, 1, "FILE*");
    if (*file)
        keep(fileno(*file));
    lua_settop(L, 1);
    return 1;
}
