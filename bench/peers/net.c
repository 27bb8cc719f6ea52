/* net: a server that answers over TCP, and a client that measures it.
 *   net serve                      prints its port of 127.0.0.1, and its pid
 *   net connect ADDRESS PORT N     microseconds of N connections with an answer
 *   net echo ADDRESS PORT N        microseconds of N answers on one connection
 *   net down|up ADDRESS PORT MB    megabytes a second
 *   net many ADDRESS PORT N        how many of N connections at once answer */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PIECE = 256 << 10, MANY = 2000 };

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void send_all(int fd, char *data, long left) {
    while (left > 0) {
        ssize_t sent = write(fd, data, left < PIECE ? (size_t)left : PIECE);
        if (sent <= 0)
            return;
        left -= sent;
    }
}

/* "d<bytes>" asks for that many bytes; after "u" comes what is counted, and the
 * count goes back; all else is sent back. */
static void *serve(void *arg) {
    int fd = (int)(long)arg;
    char *data = calloc(1, PIECE + 1), count[32];
    ssize_t got;
    while ((got = read(fd, data, PIECE)) > 0) {
        data[got] = '\0';
        if (data[0] == 'd') {
            send_all(fd, data, strtol(data + 1, NULL, 10));
            break;
        }
        if (data[0] == 'u') {
            long total = got;
            while ((got = read(fd, data, PIECE)) > 0)
                total += got;
            send_all(fd, count, snprintf(count, sizeof count, "%ld", total));
            break;
        }
        send_all(fd, data, got);
    }
    free(data);
    close(fd);
    return NULL;
}

static void serve_all(void) {
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0), client;
    if (bind(fd, (struct sockaddr *)&a, size) < 0 || listen(fd, 1024) < 0 ||
        getsockname(fd, (struct sockaddr *)&a, &size) < 0)
        die("listen");
    printf("%d %d\n", ntohs(a.sin_port), getpid());
    fflush(stdout);
    while ((client = accept(fd, NULL, NULL)) >= 0) {
        pthread_t thread;
        const int on = 1;
        setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (pthread_create(&thread, NULL, serve, (void *)(long)client) == 0)
            pthread_detach(thread);
    }
    die("accept");
}

static int dial(char **target) {
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)atoi(target[1]))};
    const int on = 1;
    inet_pton(AF_INET, target[0], &a.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&a, sizeof a) < 0)
        die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static void ask(int fd) {
    char byte;
    if (write(fd, "x", 1) != 1 || read(fd, &byte, 1) != 1)
        die("ask");
}

static void measure_connections(char **target, int count) {
    for (int i = 0; i < count; i++) {
        double begun = now();
        int fd = dial(target);
        ask(fd);
        printf("%.1f\n", now() - begun);
        close(fd);
    }
}

static void measure_answers(char **target, int count) {
    int fd = dial(target);
    for (int i = 0; i < count; i++) {
        double begun = now();
        ask(fd);
        printf("%.1f\n", now() - begun);
    }
}

static void measure_bytes(char **target, long megabytes, char way) {
    char *data = malloc(PIECE);
    long bytes = megabytes << 20, total = 0;
    ssize_t got;
    int fd = dial(target);
    double begun = now();
    memset(data, way, PIECE);
    if (way == 'd') {
        char wish[32];
        send_all(fd, wish, snprintf(wish, sizeof wish, "d%ld", bytes));
        while ((got = read(fd, data, PIECE)) > 0)
            total += got;
    } else {
        send_all(fd, data, bytes);
        shutdown(fd, SHUT_WR);
        got = read(fd, data, PIECE - 1);
        data[got > 0 ? got : 0] = '\0';
        total = strtol(data, NULL, 10);
    }
    if (total != bytes)
        die("not all bytes have come");
    printf("%.1f\n", (double)megabytes / (now() - begun) * 1e6);
    free(data);
}

static void hold_many(char **target, int count) {
    static int fds[MANY];
    count = count < MANY ? count : MANY;
    for (int i = 0; i < count; i++)
        fds[i] = dial(target);
    for (int i = 0; i < count; i++)
        ask(fds[i]);
    printf("%d\n", count);
}

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN);
    if (argc == 2 && strcmp(argv[1], "serve") == 0)
        serve_all();
    if (argc != 5)
        return 2;
    int amount = atoi(argv[4]);
    if (strcmp(argv[1], "connect") == 0)
        measure_connections(argv + 2, amount);
    else if (strcmp(argv[1], "echo") == 0)
        measure_answers(argv + 2, amount);
    else if (strcmp(argv[1], "many") == 0)
        hold_many(argv + 2, amount);
    else
        measure_bytes(argv + 2, amount, argv[1][0]);
    return 0;
}
