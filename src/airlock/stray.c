/* stray.c: see stray.h. */
#define _GNU_SOURCE
#include "airlock/stray.h"
#include "base/descriptor.h"
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
    PACKET_SIZE = 128, /* headers only */
    PACKETS = 64,      /* looked at in PAUSE_MS; a flood is dropped */
    PAUSE_MS = 100,
    RECEIVE_BUFFER = 64 << 10
};

struct stray {
    uv_poll_t poll;
    uv_timer_t timer;
    int fd;
    int left; /* packets to look at before the next pause */
    const struct policy *policy;
    const struct names *names;
    struct events *events;
};

/* IPv4, not a later fragment, and: a SYN without ACK, UDP that is not for DNS,
 * or an echo request. The packet begins with the IP header. */
static const struct sock_filter program[] = {
    BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 6),
    BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x1fff, 13, 0),
    BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0),
    BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 9),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_TCP, 0, 3),
    BPF_STMT(BPF_LD | BPF_B | BPF_IND, 13),
    BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0x12),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x02, 6, 7),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 0, 2),
    BPF_STMT(BPF_LD | BPF_H | BPF_IND, 2),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 53, 4, 3),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_ICMP, 0, 3),
    BPF_STMT(BPF_LD | BPF_B | BPF_IND, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ICMP_ECHO, 0, 1),
    BPF_STMT(BPF_RET | BPF_K, PACKET_SIZE),
    BPF_STMT(BPF_RET | BPF_K, 0),
};

/* Bound only when it filters, so that it sees nothing else. */
int stray_open(const char *interface, struct fault *f) {
    const struct sock_fprog filter = {.len = sizeof program / sizeof *program,
                                      .filter = (struct sock_filter *)program};
    const int small = RECEIVE_BUFFER;
    struct sockaddr_ll link = {.sll_family = AF_PACKET,
                               .sll_protocol = htons(ETH_P_IP),
                               .sll_ifindex = (int)if_nametoindex(interface)};
    int fd CLEANUP(cleanup_close) =
        socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) <
            0 ||
        setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &(int){1}, sizeof(int)) <
            0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small) < 0 ||
        bind(fd, (struct sockaddr *)&link, sizeof link) < 0)
        return fault_errno(f, "cannot watch the sandbox's packets");
    return steal_fd(&fd);
}

static bool is_listened_to(const struct stray *s, int port) {
    const uint16_t *ports;
    size_t count = policy_ports(s->policy, &ports);
    for (size_t i = 0; i < count; i++)
        if (ports[i] == port)
            return true;
    return port == 53;
}

static void tell(struct stray *s, const char *protocol, const struct iphdr *ip,
                 int port) {
    struct address a;
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_addr.s_addr = ip->daddr};
    address_of((struct sockaddr *)&to, &a);
    const char *name = names_find(s->names, &a);
    struct occurrence o = {.protocol = protocol,
                           .name = name,
                           .address = name ? NULL : &a,
                           .port = port};
    events_refused(s->events, &o, REFUSED_RULE);
}

static void look_at(struct stray *s, const char *packet, size_t length) {
    struct iphdr ip;
    uint16_t ports[2];
    if (length < sizeof ip)
        return;
    memcpy(&ip, packet, sizeof ip);
    size_t header = ip.ihl * 4u;
    if (ip.protocol == IPPROTO_ICMP) {
        tell(s, "icmp", &ip, 0);
        return;
    }
    if (header < sizeof ip || length < header + sizeof ports)
        return;
    memcpy(ports, packet + header, sizeof ports);
    int port = ntohs(ports[1]);
    if (ip.protocol == IPPROTO_UDP)
        tell(s, "udp", &ip, port);
    else if (!is_listened_to(s, port))
        tell(s, "tcp", &ip, port);
}

static void on_packet(uv_poll_t *poll, int status, int events);

static void on_pause_over(uv_timer_t *timer) {
    struct stray *s = timer->data;
    s->left = PACKETS;
    uv_poll_start(&s->poll, UV_READABLE, on_packet);
}

static void on_packet(uv_poll_t *poll, int status, int events) {
    struct stray *s = poll->data;
    char packet[PACKET_SIZE];
    (void)status;
    (void)events;
    if (!uv_is_active((uv_handle_t *)&s->timer))
        uv_timer_start(&s->timer, on_pause_over, PAUSE_MS, 0);
    for (; s->left > 0; s->left--) {
        struct sockaddr_ll from;
        socklen_t size = sizeof from;
        ssize_t got = recvfrom(s->fd, packet, sizeof packet, MSG_DONTWAIT,
                               (struct sockaddr *)&from, &size);
        if (got < 0)
            return;
        if (from.sll_pkttype != PACKET_OUTGOING)
            look_at(s, packet, (size_t)got);
    }
    uv_poll_stop(&s->poll);
}

void stray_finish(struct stray *s) {
    s->left = PACKETS;
    on_packet(&s->poll, 0, UV_READABLE);
}

struct stray *stray_start(uv_loop_t *loop, int fd, const struct policy *p,
                          const struct names *names, struct events *events,
                          struct fault *f) {
    struct stray *s = calloc(1, sizeof *s);
    if (!s) {
        fault_memory(f);
        return NULL;
    }
    *s = (struct stray){.fd = fd,
                        .left = PACKETS,
                        .policy = p,
                        .names = names,
                        .events = events};
    s->poll.data = s->timer.data = s;
    uv_timer_init(loop, &s->timer);
    if (watch_open(loop, &s->poll, fd, f) < 0) {
        free(s);
        return NULL;
    }
    uv_poll_start(&s->poll, UV_READABLE, on_packet);
    return s;
}
