/* listen_tcp.c: see listen_tcp.h. */
#define _GNU_SOURCE
#include "base/listen_tcp.h"
#include "base/descriptor.h"
#include "base/scope.h"
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Split "host:port" or "[v6]:port". */
static int split_address(const char *address, const char *what, char *host,
                         size_t size, const char **port, struct fault *f) {
    const char *colon = strrchr(address, ':');
    size_t length = colon ? (size_t)(colon - address) : 0;
    bool bracket = length > 2 && *address == '[' && colon[-1] == ']';
    if (bracket) {
        address++;
        length -= 2;
    }
    if (!colon || length == 0 || length >= size || !colon[1])
        return fault_set(f, 400, "%s wants ADDRESS:PORT, such as 127.0.0.1:0",
                         what);
    snprintf(host, size, "%.*s", (int)length, address);
    *port = colon + 1;
    return 0;
}

static void name_bound(int fd, char bound[ADDRESS_SIZE]) {
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    char host[48], port[8];
    snprintf(bound, ADDRESS_SIZE, "?");
    if (getsockname(fd, (struct sockaddr *)&address, &length) == 0 &&
        getnameinfo((struct sockaddr *)&address, length, host, sizeof host,
                    port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) == 0)
        snprintf(bound, ADDRESS_SIZE,
                 address.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host,
                 port);
}

int listen_tcp(const char *address, const char *what, bool numeric,
               char bound[ADDRESS_SIZE], struct fault *f) {
    char host[256];
    const char *port = NULL;
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV |
                                         (numeric ? AI_NUMERICHOST : 0),
                             .ai_socktype = SOCK_STREAM},
                    *found;
    if (split_address(address, what, host, sizeof host, &port, f) < 0)
        return -1;
    int error = getaddrinfo(host, port, &hints, &found);
    if (error)
        return fault_set(f, 400, "cannot listen on %s: %s", address,
                         gai_strerror(error));
    int one = 1;
    int fd CLEANUP(cleanup_close) =
        socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool listening =
        fd >= 0 &&
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
        bind(fd, found->ai_addr, found->ai_addrlen) == 0 &&
        listen(fd, LISTEN_BACKLOG) == 0;
    freeaddrinfo(found);
    if (!listening)
        return fault_errno(f, "cannot listen on %s", address);
    name_bound(fd, bound);
    return steal_fd(&fd);
}
