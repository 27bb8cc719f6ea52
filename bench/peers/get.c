/* get: requests a path N times from an HTTP server on a Unix socket, over one
 * connection and 2 ms apart, and prints the microseconds that each took:
 * get SOCKET PATH N */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define PAUSE_NS 2000000L

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int dial(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        return -1;
    return fd;
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: get SOCKET PATH N\n");
        return 2;
    }
    char request[512], answer[4096];
    int length = snprintf(request, sizeof request,
                          "GET %s HTTP/1.1\r\nHost: bench\r\n\r\n", argv[2]);
    int fd = dial(argv[1]);
    for (long i = strtol(argv[3], NULL, 10); i > 0; i--) {
        double begin = now();
        /* The answer has no body: it arrives at once and ends with an empty
         * line. */
        if (fd < 0 ||
            send(fd, request, (size_t)length, MSG_NOSIGNAL) != length ||
            read(fd, answer, sizeof answer) <= 0 ||
            strncmp(answer, "HTTP/1.1 204", 12) != 0) {
            fprintf(stderr, "get: no answer from %s\n", argv[1]);
            return 1;
        }
        printf("%.1f\n", now() - begin);
        nanosleep(&(struct timespec){0, PAUSE_NS}, NULL);
    }
    return 0;
}
