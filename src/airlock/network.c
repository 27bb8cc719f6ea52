/* network.c: see network.h. */
#define _GNU_SOURCE
#include "airlock/network.h"
#include "airlock/link.h"
#include "airlock/stray.h"
#include "base/descriptor.h"
#include "base/fd.h"
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>

enum { BACKLOG = 1024 };

static const char sandbox_address[] = "10.0.2.100";
static const char gateway[] = "10.0.2.2", dns_server[] = "10.0.2.3";

/* ---- our side ---- */

static int make_routes(struct link *l, struct fault *f) {
    const struct route to_sandbox = {.to = sandbox_address,
                                     .prefix = 32,
                                     .link = "air0",
                                     .source = gateway,
                                     .first = true};
    const struct route all_is_ours = {
        .link = "lo", .local = true, .first = true};
    if (link_add_route(l, &to_sandbox, f) < 0)
        return -1;
    return link_add_route(l, &all_is_ours, f);
}

/* Best effort. The kernel would tell a program only six times in a row that
 * nothing listens on a UDP port; and nobody is to think that a ping arrived. */
static void tune(void) {
    write_to_file("/proc/sys/net/ipv4/icmp_ratelimit", "0");
    write_to_file("/proc/sys/net/ipv4/icmp_echo_ignore_all", "1");
    write_to_file("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1");
}

static int make_our_side(struct link *l, int net, struct fault *f) {
    int rc = link_up(l, "lo", f);
    if (rc == 0)
        rc = link_make_pair(l, "air0", "eth0", net, f);
    if (rc == 0)
        rc = link_add_address(l, "air0", gateway, 32, f);
    if (rc == 0)
        rc = link_add_address(l, "air0", dns_server, 32, f);
    if (rc == 0)
        rc = link_up(l, "air0", f);
    if (rc == 0)
        rc = make_routes(l, f);
    tune();
    return rc;
}

/* ---- the sandbox's side ---- */

/* `ours` speaks of our side still. */
static int make_its_side(struct link *ours, struct fault *f) {
    const struct route out = {.gateway = gateway, .link = "eth0"};
    struct link *l = link_open(f);
    if (!l)
        return -1;
    int rc = link_add_address(l, "eth0", sandbox_address, 24, f);
    if (rc == 0)
        rc = link_up(l, "eth0", f);
    if (rc == 0)
        rc = link_wait_for_ours(ours, f);
    if (rc == 0) /* last: the sandbox waits for it */
        rc = link_add_route(l, &out, f);
    link_close(l);
    return rc;
}

/* ---- sockets ---- */

static int open_socket(int type, int port, struct fault *f) {
    const int on = 1;
    struct sockaddr_in any = {.sin_family = AF_INET,
                              .sin_port = htons((uint16_t)port)};
    int fd CLEANUP(cleanup_close) =
        socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof any) < 0 ||
        (type == SOCK_STREAM && listen(fd, BACKLOG) < 0) ||
        (type == SOCK_DGRAM &&
         setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof on) < 0))
        return fault_errno(f, "cannot listen on port %d for the sandbox", port);
    return steal_fd(&fd);
}

static int open_sockets(struct network *n, const struct policy *p,
                        struct fault *f) {
    const uint16_t *ports;
    size_t count = policy_ports(p, &ports);
    for (size_t i = 0; i < count; i++) {
        if (ports[i] == DNS_PORT) /* DNS is ours alone */
            continue;
        int fd = open_socket(SOCK_STREAM, ports[i], f);
        if (fd < 0)
            return -1;
        n->listeners[n->listener_count++] = fd;
    }
    if ((n->dns_udp = open_socket(SOCK_DGRAM, DNS_PORT, f)) < 0 ||
        (n->dns_tcp = open_socket(SOCK_STREAM, DNS_PORT, f)) < 0)
        return -1;
    /* Only to tell of them: containers may lack the right to it. */
    n->strays = stray_open("air0", NULL);
    return 0;
}

/* ---- the thread ---- */

struct making {
    struct network *n;
    int net;
    const struct policy *p;
    struct fault *f;
    int rc;
};

static int make_both_sides(struct making *m, struct link *ours) {
    if (make_our_side(ours, m->net, m->f) < 0 ||
        open_sockets(m->n, m->p, m->f) < 0)
        return -1;
    if (setns(m->net, CLONE_NEWNET) < 0)
        return fault_errno(m->f, "cannot enter the sandbox's network");
    return make_its_side(ours, m->f);
}

static int make(struct making *m) {
    if (unshare(CLONE_NEWNET) < 0)
        return errno == ENOSPC
                   ? fault_set(m->f, 503,
                               "too many network namespaces; raise "
                               "/proc/sys/user/max_net_namespaces")
                   : fault_errno(m->f, "cannot make a network namespace");
    struct link *ours = link_open(m->f);
    int rc = ours ? make_both_sides(m, ours) : -1;
    link_close(ours);
    return rc;
}

static void *run(void *arg) {
    struct making *m = arg;
    m->rc = make(m);
    return NULL;
}

/* A thread of its own changes namespaces. It could not come back: only
 * privileged users may enter the host's. */
int network_make(struct network *n, int net, const struct policy *p,
                 struct fault *f) {
    struct making m = {n, net, p, f, -1};
    pthread_t thread;
    *n = (struct network){.dns_udp = -1, .dns_tcp = -1, .strays = -1};
    int error = pthread_create(&thread, NULL, run, &m);
    if (error) {
        errno = error;
        return fault_errno(f, "cannot start a thread");
    }
    pthread_join(thread, NULL);
    return m.rc;
}
