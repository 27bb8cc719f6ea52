/* world.h: around contree-airlock, for its test: servers, the program itself,
 * and what is done in the namespace that plays a sandbox. The test sets the
 * three variables. */
#ifndef CONTREE_AIRLOCK_WORLD_H
#define CONTREE_AIRLOCK_WORLD_H

#include "child.h"
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <resolv.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>

/* Everything inside happens in children, which enter the namespace. */
struct airlock {
    pid_t pid, sandbox;
    int net;    /* the sandbox's namespace */
    int events; /* our end of descriptor 4 */
    char told[1 << 16];
    size_t length;
};

static char program[4096];
static bool as_root;      /* not in a user namespace */
static rlim_t hard_limit; /* of the next program's descriptors; 0: as it is */

/* ---- servers ---- */

enum { ECHO_PORT = 7001, GREETER_PORT = 7002, HTTP_PORT = 7003 };

static int listen_on(int port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    const int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&a, sizeof a) < 0 || listen(fd, 1024) < 0)
        perror("listen");
    return fd;
}

/* Sends back what it gets; for many connections at once. */
static void serve_echo(int listener) {
    struct pollfd polls[1100] = {{.fd = listener, .events = POLLIN}};
    nfds_t count = 1;
    for (;;) {
        poll(polls, count, -1);
        if (polls[0].revents)
            polls[count++] = (struct pollfd){.fd = accept(listener, NULL, NULL),
                                             .events = POLLIN};
        for (nfds_t i = 1; i < count; i++) {
            char data[65536];
            ssize_t got = polls[i].revents & ~POLLNVAL
                              ? read(polls[i].fd, data, sizeof data)
                              : -1;
            if (got > 0 && write_all(polls[i].fd, data, (size_t)got) == 0)
                continue;
            if (!polls[i].revents)
                continue;
            close(polls[i].fd);
            polls[i--] = polls[--count];
        }
    }
}

static void serve_greeting(int listener) {
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (write_all(fd, "hello\n", 6) < 0)
            perror("greet");
        close(fd);
    }
}

/* Answers each head with it, and goes on. */
static void serve_http(int listener) {
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        char data[65536], head[128];
        ssize_t got;
        while ((got = read(fd, data, sizeof data)) > 0) {
            int length = snprintf(head, sizeof head,
                                  "HTTP/1.1 200 OK\r\nContent-Length: %zd\r\n"
                                  "\r\n",
                                  got);
            if (write_all(fd, head, (size_t)length) < 0 ||
                write_all(fd, data, (size_t)got) < 0)
                break;
        }
        close(fd);
    }
}

static pid_t start_server(int port, void (*serve)(int listener)) {
    int fd = listen_on(port);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        signal(SIGPIPE, SIG_IGN);
        serve(fd);
    }
    close(fd);
    return pid;
}

/* ---- the program ---- */

static pid_t start_sandbox(int *net) {
    int ends[2];
    char path[64], byte;
    CHECK(pipe2(ends, O_CLOEXEC) == 0);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (unshare(CLONE_NEWNET) < 0 || !shell("ip link set lo up"))
            _exit(1);
        close(ends[0]);
        close(ends[1]);
        pause();
        _exit(0);
    }
    close(ends[1]);
    CHECK(read(ends[0], &byte, 1) == 0);
    close(ends[0]);
    snprintf(path, sizeof path, "/proc/%d/ns/net", pid);
    *net = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(*net >= 0);
    return pid;
}

static void run_program(int config, int engine, int net) {
    int high[3] = {fcntl(config, F_DUPFD, 20), fcntl(engine, F_DUPFD, 20),
                   fcntl(net, F_DUPFD, 20)};
    for (int i = 0; i < 3; i++) {
        dup2(high[i], 3 + i);
        close(high[i]);
    }
    const struct rlimit few = {hard_limit, hard_limit};
    if (hard_limit)
        setrlimit(RLIMIT_NOFILE, &few);
    char *const args[] = {program, NULL};
    char *const env[] = {"CONTREE_STRICT=1", "ASAN_OPTIONS=detect_leaks=0",
                         NULL};
    execve(program, args, env);
    _exit(127);
}

/* Waits for a line that has this text, and returns whether it came. */
static bool told(struct airlock *a, const char *text) {
    for (;;) {
        a->told[a->length] = '\0';
        if (strstr(a->told, text))
            return true;
        struct pollfd p = {.fd = a->events, .events = POLLIN};
        if (a->length == sizeof a->told - 1 || poll(&p, 1, 5000) != 1)
            break;
        ssize_t got = read(a->events, a->told + a->length,
                           sizeof a->told - 1 - a->length);
        if (got <= 0)
            break;
        a->length += (size_t)got;
    }
    printf("# not told: %s; but:\n# %s\n", text, a->told);
    return false;
}

static struct airlock *start(const char *config) {
    struct airlock *a = calloc(1, sizeof *a);
    int pair[2], text[2];
    a->sandbox = start_sandbox(&a->net);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    CHECK(pipe2(text, O_CLOEXEC) == 0);
    CHECK(write_all(text[1], config, strlen(config)) == 0);
    close(text[1]);
    fflush(stdout);
    a->pid = fork();
    if (a->pid == 0)
        run_program(text[0], pair[1], a->net);
    close(text[0]);
    close(pair[1]);
    a->events = pair[0];
    return a;
}

static struct airlock *start_ready(const char *config) {
    struct airlock *a = start(config);
    CHECK(told(a, "{\"event\":\"ready\""));
    return a;
}

/* Its exit status, after its engine has gone. */
static int stop(struct airlock *a) {
    int status = -1;
    close(a->events);
    waitpid(a->pid, &status, 0);
    kill(a->sandbox, SIGKILL);
    waitpid(a->sandbox, NULL, 0);
    close(a->net);
    free(a);
    return status;
}

/* ---- inside ---- */

static int inside(const struct airlock *a, int (*work)(void *arg), void *arg) {
    int status = -1;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGPIPE, SIG_IGN);
        close(a->events); /* a second end of it would keep it open */
        alarm(30);
        int rc = setns(a->net, CLONE_NEWNET) == 0 ? work(arg) : 99;
        fflush(stdout);
        _exit(rc);
    }
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

static int dial(const char *address, int port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, address, &a.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0)
        return fd;
    close(fd);
    return -1;
}

/* What the name server of the sandbox says: an address, "" for none, or the
 * code. */
static const char *look_up(const char *server, const char *name, int type) {
    static char text[INET_ADDRSTRLEN + 16];
    unsigned char query[512], reply[512];
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(53)};
    struct timeval limit = {.tv_sec = 5};
    ns_msg m;
    ns_rr rr;
    inet_pton(AF_INET, server, &a.sin_addr);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int length = res_mkquery(ns_o_query, name, ns_c_in, type, NULL, 0, NULL,
                             query, sizeof query);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ssize_t got = -1;
    if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0 &&
        send(fd, query, (size_t)length, 0) == length)
        got = recv(fd, reply, sizeof reply, 0);
    close(fd);
    if (got < 0 || ns_initparse(reply, (int)got, &m) < 0)
        return "no answer";
    snprintf(text, sizeof text, "code %d", ns_msg_getflag(m, ns_f_rcode));
    if (ns_msg_getflag(m, ns_f_rcode) == ns_r_noerror)
        text[0] = '\0';
    if (ns_msg_count(m, ns_s_an) > 0 && ns_parserr(&m, ns_s_an, 0, &rr) == 0)
        inet_ntop(AF_INET, ns_rr_rdata(rr), text, sizeof text);
    return text;
}

static int dial_name(const char *name, int port) {
    return dial(look_up("10.0.2.3", name, ns_t_a), port);
}

/* Sends a text and reads to the end, or as much as is wanted. */
static ssize_t talk(int fd, const char *text, char *reply, size_t size,
                    size_t wanted) {
    size_t length = 0;
    ssize_t got = 1;
    if (*text && write_all(fd, text, strlen(text)) < 0)
        return -1;
    while (length < wanted &&
           (got = read(fd, reply + length, size - 1 - length)) > 0)
        length += (size_t)got;
    reply[length] = '\0';
    return got < 0 ? -1 : (ssize_t)length;
}

#endif
