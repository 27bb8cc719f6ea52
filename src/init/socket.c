#define _GNU_SOURCE
#include "init/socket.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int connect_unix(int fd, const char *path, struct failure *f) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(path);
    if (length >= sizeof address.sun_path)
        return fail(f, 422, "the path of a Unix socket has more than %d bytes",
                    (int)sizeof address.sun_path - 1);
    memcpy(address.sun_path, path, length + 1);
    int rc = connect(fd, (struct sockaddr *)&address, sizeof address);
    if (rc < 0)
        fail_errno(f, "cannot connect to %.200s", path);
    if (rc < 0 && errno == EAGAIN)
        f->status = SOCKET_BUSY;
    return rc;
}

int socket_make(uint32_t kind, const char *path, struct failure *f) {
    int family = kind == SOCKET_UNIX    ? AF_UNIX
                 : kind == SOCKET_INET6 ? AF_INET6
                                        : AF_INET;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return fail_errno(f, "cannot make a socket in the sandbox");
    if (kind == SOCKET_UNIX && connect_unix(fd, path, f) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}
