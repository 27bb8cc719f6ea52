/* link.c: see link.h. */
#define _GNU_SOURCE
#include "airlock/link.h"
#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* In this order: the kernel's leaves out what the C library's has. */
#include <net/if.h>

#include <linux/if.h>

enum {
    MTU = 65520,
    MESSAGE_SIZE = 2048,
    ANSWER_SIZE = 8192,
    /* Of our end. If it were the index of the other end, the kernel would take
     * up to a second to see that the link is up (linkwatch_urgent_event()). */
    INDEX = 16,
    UP_MS = 3000
};

struct link {
    struct mnl_socket *socket;
    unsigned sequence;
    char message[MESSAGE_SIZE];
};

struct link *link_open(struct fault *f) {
    struct link *l = calloc(1, sizeof *l);
    if (!l) {
        fault_memory(f);
        return NULL;
    }
    l->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
    if (l->socket && mnl_socket_bind(l->socket, 0, MNL_SOCKET_AUTOPID) == 0)
        return l;
    fault_errno(f, "cannot speak with rtnetlink");
    link_close(l);
    return NULL;
}

void link_close(struct link *l) {
    if (l && l->socket)
        mnl_socket_close(l->socket);
    free(l);
}

static struct nlmsghdr *begin(struct link *l, int type, int flags) {
    struct nlmsghdr *h = mnl_nlmsg_put_header(l->message);
    h->nlmsg_type = (uint16_t)type;
    h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
    h->nlmsg_seq = ++l->sequence;
    return h;
}

/* 0, or -1 with errno. `read` gets what is told beside the acknowledgement. */
static int ask_for(struct link *l, struct nlmsghdr *h, mnl_cb_t read,
                   void *arg) {
    char answer[ANSWER_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
    unsigned port = mnl_socket_get_portid(l->socket);
    if (mnl_socket_sendto(l->socket, h, h->nlmsg_len) < 0)
        return -1;
    int rc = MNL_CB_OK;
    while (rc == MNL_CB_OK) {
        ssize_t got = mnl_socket_recvfrom(l->socket, answer, sizeof answer);
        if (got < 0 && errno == EINTR)
            continue;
        rc = got < 0 ? MNL_CB_ERROR
                     : mnl_cb_run(answer, (size_t)got, l->sequence, port, read,
                                  arg);
    }
    return rc < 0 ? -1 : 0;
}

static int ask(struct link *l, struct nlmsghdr *h) {
    return ask_for(l, h, NULL, NULL);
}

static void put_peer(struct nlmsghdr *h, const char *peer, int net) {
    struct nlattr *info = mnl_attr_nest_start(h, IFLA_LINKINFO);
    mnl_attr_put_strz(h, IFLA_INFO_KIND, "veth");
    struct nlattr *data = mnl_attr_nest_start(h, IFLA_INFO_DATA);
    struct nlattr *other = mnl_attr_nest_start(h, VETH_INFO_PEER);
    mnl_nlmsg_put_extra_header(h, sizeof(struct ifinfomsg));
    mnl_attr_put_strz(h, IFLA_IFNAME, peer);
    mnl_attr_put_u32(h, IFLA_MTU, MTU);
    mnl_attr_put_u32(h, IFLA_NET_NS_FD, (uint32_t)net);
    mnl_attr_nest_end(h, other);
    mnl_attr_nest_end(h, data);
    mnl_attr_nest_end(h, info);
}

int link_make_pair(struct link *l, const char *name, const char *peer, int net,
                   struct fault *f) {
    struct nlmsghdr *h = begin(l, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
    struct ifinfomsg *i = mnl_nlmsg_put_extra_header(h, sizeof *i);
    i->ifi_family = AF_UNSPEC;
    i->ifi_index = INDEX;
    mnl_attr_put_strz(h, IFLA_IFNAME, name);
    mnl_attr_put_u32(h, IFLA_MTU, MTU);
    put_peer(h, peer, net);
    if (ask(l, h) == 0)
        return 0;
    if (errno == EOPNOTSUPP)
        return fault_set(f, 503,
                         "networking with rules needs veth interfaces. Fix: "
                         "sudo modprobe veth");
    return fault_errno(f, "cannot make a pair of veth interfaces");
}

/* Best effort: a kernel without IPv6 refuses it, and needs it not. */
static void keep_from_ipv6(struct link *l, int index) {
    struct nlmsghdr *h = begin(l, RTM_NEWLINK, 0);
    struct ifinfomsg *i = mnl_nlmsg_put_extra_header(h, sizeof *i);
    i->ifi_index = index;
    struct nlattr *families = mnl_attr_nest_start(h, IFLA_AF_SPEC);
    struct nlattr *six = mnl_attr_nest_start(h, AF_INET6);
    mnl_attr_put_u8(h, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
    mnl_attr_nest_end(h, six);
    mnl_attr_nest_end(h, families);
    ask(l, h);
}

int link_up(struct link *l, const char *name, struct fault *f) {
    int index = (int)if_nametoindex(name);
    keep_from_ipv6(l, index);
    struct nlmsghdr *h = begin(l, RTM_NEWLINK, 0);
    struct ifinfomsg *i = mnl_nlmsg_put_extra_header(h, sizeof *i);
    i->ifi_index = index;
    i->ifi_flags = i->ifi_change = IFF_UP;
    if (ask(l, h) == 0)
        return 0;
    return fault_errno(f, "cannot raise the interface %s", name);
}

static int read_state(const struct nlmsghdr *h, void *arg) {
    const struct nlattr *a;
    mnl_attr_for_each(a, h, sizeof(struct ifinfomsg)) {
        if (mnl_attr_get_type(a) == IFLA_OPERSTATE &&
            mnl_attr_get_payload_len(a) >= sizeof(uint8_t))
            *(int *)arg = mnl_attr_get_u8(a);
    }
    return MNL_CB_OK;
}

int link_wait_for_ours(struct link *l, struct fault *f) {
    enum { PAUSE_US = 200 };
    for (int i = 0; i < UP_MS * 1000 / PAUSE_US; i++) {
        int state = IF_OPER_UNKNOWN;
        struct nlmsghdr *h = begin(l, RTM_GETLINK, 0);
        struct ifinfomsg *info = mnl_nlmsg_put_extra_header(h, sizeof *info);
        info->ifi_index = INDEX;
        if (ask_for(l, h, read_state, &state) < 0)
            return fault_errno(f, "cannot ask for an interface");
        if (state == IF_OPER_UP)
            return 0;
        usleep(PAUSE_US);
    }
    return 0; /* whoever is in a hurry sends again */
}

static void put_address(struct nlmsghdr *h, int type, const char *address) {
    struct in_addr four;
    inet_pton(AF_INET, address, &four); /* ours: cannot fail */
    mnl_attr_put(h, (uint16_t)type, sizeof four, &four);
}

int link_add_address(struct link *l, const char *name, const char *address,
                     unsigned prefix, struct fault *f) {
    struct nlmsghdr *h = begin(l, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL);
    struct ifaddrmsg *a = mnl_nlmsg_put_extra_header(h, sizeof *a);
    a->ifa_family = AF_INET;
    a->ifa_prefixlen = (uint8_t)prefix;
    a->ifa_index = if_nametoindex(name);
    put_address(h, IFA_LOCAL, address);
    put_address(h, IFA_ADDRESS, address);
    if (ask(l, h) == 0)
        return 0;
    return fault_errno(f, "cannot give %s to %s", address, name);
}

int link_add_route(struct link *l, const struct route *r, struct fault *f) {
    struct nlmsghdr *h = begin(l, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL);
    struct rtmsg *m = mnl_nlmsg_put_extra_header(h, sizeof *m);
    m->rtm_family = AF_INET;
    m->rtm_dst_len = (uint8_t)r->prefix;
    m->rtm_table = r->first ? RT_TABLE_LOCAL : RT_TABLE_MAIN;
    m->rtm_protocol = RTPROT_BOOT;
    m->rtm_type = r->local ? RTN_LOCAL : RTN_UNICAST;
    m->rtm_scope = r->local     ? RT_SCOPE_HOST
                   : r->gateway ? RT_SCOPE_UNIVERSE
                                : RT_SCOPE_LINK;
    if (r->to)
        put_address(h, RTA_DST, r->to);
    if (r->gateway)
        put_address(h, RTA_GATEWAY, r->gateway);
    if (r->source)
        put_address(h, RTA_PREFSRC, r->source);
    mnl_attr_put_u32(h, RTA_OIF, if_nametoindex(r->link));
    if (ask(l, h) == 0)
        return 0;
    return fault_errno(f, "cannot add a route to %s", r->to ? r->to : "all");
}
