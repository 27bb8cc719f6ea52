/* test_network.c: sandboxes with networking. The test has a network namespace
 * of its own, in which one address plays the outside. */
#define _GNU_SOURCE
#include "box.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>

/* Start a server that answers "outside", and return its port. */
static int start_server(const char *address, pid_t *pid) {
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t size = sizeof a;
    inet_pton(AF_INET, address, &a.sin_addr);
    int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(server, (struct sockaddr *)&a, size) < 0 ||
        listen(server, 8) < 0 ||
        getsockname(server, (struct sockaddr *)&a, &size) < 0)
        perror("server");
    fflush(stdout);
    *pid = fork();
    while (*pid == 0) {
        int client = accept(server, NULL, NULL);
        if (client < 0 || write(client, "outside\n", 8) != 8)
            _exit(1);
        close(client);
    }
    close(server);
    return ntohs(a.sin_port);
}

static struct box *run_connected(const char *script) {
    char *argv[] = {"sh", "-c", (char *)script, NULL};
    struct sandbox_process p = {.argv = argv, .stdin_fd = -1};
    struct box_options o = {.networking = true};
    return box_run(&o, p);
}

static struct box *fetch(const char *address, int port) {
    char script[128];
    /* Keep the input open: a connection that is half closed at once may be
     * dropped. */
    snprintf(script, sizeof script,
             "mkfifo /tmp/f; exec 3<>/tmp/f; nc -w 2 %s %d <&3 2>/dev/null",
             address, port);
    return run_connected(script);
}

static void test_reaches_out(void) {
    pid_t server;
    int port = start_server("192.0.2.1", &server);
    struct box *b = fetch("192.0.2.1", port);
    CHECK_STRING(b->out.data, "outside\n");
    CHECK(b->started && b->gone && !b->failed);
    free(b);
    /* A sandbox that did not ask for a network. */
    char script[128];
    snprintf(script, sizeof script, "nc -w 2 192.0.2.1 %d 2>/dev/null", port);
    for (int i = 0; i < 6; i++)
        CHECK_STRING(box_output(script), "");
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
}

static void test_host_loopback_is_closed(void) {
    pid_t server;
    int port = start_server("127.0.0.1", &server);
    static const char *const ways[] = {"127.0.0.1", "10.0.2.2"};
    for (int i = 0; i < 2; i++) {
        struct box *b = fetch(ways[i], port);
        CHECK_STRING(b->out.data, "");
        free(b);
    }
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
}

static void test_interface_and_names(void) {
    struct box *b = run_connected("ip -o addr | grep -o 'inet [0-9.]*'; "
                                  "cat /etc/resolv.conf; "
                                  "ip link set tap0 down 2>/dev/null || "
                                  "echo refused");
    CHECK_STRING(b->out.data, "inet 127.0.0.1\ninet 10.0.2.100\n"
                              "nameserver 10.0.2.3\nrefused\n");
    free(b);
    CHECK_STRING(box_output("ip -o link | wc -l; "
                            "grep -c nameserver /etc/resolv.conf"),
                 "1\n0\n");
}

static bool slirp_is_gone(void) {
    for (int i = 0; i < 500 && process_exists("--netns-type=path"); i++)
        usleep(10000);
    return !process_exists("--netns-type=path");
}

static void test_slirp_ends(void) {
    struct fault f = {0};
    struct box_options o = {.networking = true};
    free(run_connected("true"));
    CHECK(slirp_is_gone());
    struct box *b = box_start(&o, &f);
    sandbox_kill(b->sandbox);
    box_wait(b);
    CHECK(!b->started);
    free(b);
    CHECK(slirp_is_gone());
}

static void test_many(void) {
    struct box *boxes[6];
    struct box_options o = {.networking = true};
    for (int i = 0; i < 6; i++) {
        char *argv[] = {"cat", "/etc/resolv.conf", NULL};
        struct sandbox_process p = {.argv = argv, .stdin_fd = -1};
        boxes[i] = box_start(&o, NULL);
        box_spawn(boxes[i], 1, &p);
    }
    for (int i = 0; i < 6; i++) {
        box_wait(boxes[i]);
        CHECK_STRING(boxes[i]->out.data, "nameserver 10.0.2.3\n");
        free(boxes[i]);
    }
}

int main(void) {
    if (getuid() != 0 || !shell("command -v slirp4netns >/dev/null")) {
        puts("skip networking: needs root and slirp4netns");
        return 0;
    }
    if (unshare(CLONE_NEWNET) < 0 ||
        !shell("busybox ip link set lo up && "
               "busybox ip addr add 192.0.2.1/32 dev lo")) {
        puts("skip networking: no network namespace");
        return 0;
    }
    if (!world_open())
        return 1;
    RUN(test_reaches_out, "a sandbox that asks for it reaches the network");
    RUN(test_host_loopback_is_closed, "but not the host's loopback interface");
    RUN(test_interface_and_names, "its interface and name server");
    RUN(test_slirp_ends, "slirp4netns ends with its sandbox");
    RUN(test_many, "several at once");
    world_close();
    return CHECK_DONE();
}
