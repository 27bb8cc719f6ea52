/* listener.c: a server to try ports of sandboxes with; linked statically, as
 * there may be no library inside.
 *   listener tcp PORT | tcp6 PORT | unix PATH   [TEXT]
 * It answers each client with TEXT, or with what the client has sent when that
 * is all, and then ends the connection. It says "ready" when it listens.
 * With ROOM=N in the environment it has room for so few that wait, takes them
 * one after the other, and only when a line has come on its input, and says
 * what each has sent. */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int open_tcp(int port) {
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    return bind(fd, (struct sockaddr *)&a, sizeof a) < 0 ? -1 : fd;
}

static int open_tcp6(int port) {
    struct sockaddr_in6 a = {.sin6_family = AF_INET6,
                             .sin6_port = htons((uint16_t)port),
                             .sin6_addr = in6addr_loopback};
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    return bind(fd, (struct sockaddr *)&a, sizeof a) < 0 ? -1 : fd;
}

static int open_unix(const char *path) {
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    return bind(fd, (struct sockaddr *)&a, sizeof a) < 0 ? -1 : fd;
}

static void put(int fd, const char *data, size_t length) {
    while (length > 0) {
        ssize_t n = write(fd, data, length);
        if (n <= 0)
            _exit(1);
        data += n;
        length -= (size_t)n;
    }
}

static void echo(int fd) {
    char *data = NULL;
    size_t length = 0;
    for (;;) {
        data = realloc(data, length + 65536);
        ssize_t n = data ? read(fd, data + length, 65536) : -1;
        if (n < 0)
            _exit(1);
        if (n == 0)
            break;
        length += (size_t)n;
    }
    put(fd, data, length);
    if (getenv("ROOM")) {
        fwrite(data, 1, length, stdout);
        fflush(stdout);
    }
    free(data);
}

static void serve(int client, const char *text) {
    if (text)
        put(client, text, strlen(text));
    else
        echo(client);
}

int main(int argc, char **argv) {
    if (argc < 3)
        return 2;
    int fd = strcmp(argv[1], "tcp") == 0    ? open_tcp(atoi(argv[2]))
             : strcmp(argv[1], "tcp6") == 0 ? open_tcp6(atoi(argv[2]))
                                            : open_unix(argv[2]);
    const char *room = getenv("ROOM"), *text = argc > 3 ? argv[3] : NULL;
    if (fd < 0 || listen(fd, room ? atoi(room) : 4096) < 0) {
        perror("listen");
        return 1;
    }
    signal(SIGCHLD, SIG_IGN);
    puts("ready");
    fflush(stdout);
    if (room)
        getchar();
    for (;;) {
        int client = accept(fd, NULL, NULL);
        if (client < 0)
            continue;
        if (room) {
            serve(client, text);
        } else if (fork() == 0) {
            serve(client, text);
            _exit(0);
        }
        close(client);
    }
}
