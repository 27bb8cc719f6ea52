/* answer.c: see answer.h. */
#define _GNU_SOURCE
#include "airlock/answer.h"
#include "airlock/stream.h"
#include "base/descriptor.h"
#include "base/turn.h"
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

enum { MESSAGE_MAX = 4096, ROUNDS = 64 };

static bool is_too_often(struct answerer *a) {
    uint64_t second = uv_now(a->loop) / 1000;
    if (second != a->second)
        a->queries = 0;
    a->second = second;
    return ++a->queries > QUERIES_A_SECOND;
}

static void report(struct answerer *a, const char *name, enum refusal why) {
    struct occurrence o = {.protocol = "dns", .name = name};
    events_refused(a->events, &o, why);
}

/* Chooses the code, and an address. */
static int decide(struct answerer *a, const struct dns_question *q,
                  struct address *address, bool *has_address) {
    char name[NAME_SIZE];
    bool asks_address = q->type == ns_t_a || q->type == ns_t_aaaa;
    bool known = q->class == ns_c_in &&
                 name_normal(q->name, strlen(q->name), name) &&
                 policy_knows(a->policy, name);
    if (!known) {
        if (asks_address)
            report(a, q->name, REFUSED_RULE);
        return ns_r_nxdomain;
    }
    if (q->type != ns_t_a)
        return ns_r_noerror;
    *has_address = names_address(a->names, name, address);
    if (*has_address)
        return ns_r_noerror;
    report(a, name, REFUSED_LIMIT);
    return ns_r_servfail;
}

size_t answer(struct answerer *a, const uint8_t *message, size_t length,
              uint8_t out[DNS_ANSWER_MAX]) {
    struct dns_question q;
    struct address address;
    bool has_address = false;
    int code;
    if (is_too_often(a)) {
        report(a, NULL, REFUSED_LIMIT);
        return 0;
    }
    if (!dns_read(message, length, &q, &code))
        return 0;
    if (code == ns_r_noerror)
        code = decide(a, &q, &address, &has_address);
    return dns_write(&q, code, has_address ? &address : NULL, out);
}

/* ---- UDP ---- */

union control {
    char space[CMSG_SPACE(sizeof(struct in_pktinfo))];
    struct cmsghdr align;
};

/* The answer comes from the address that was asked. */
static bool answer_from_there(struct msghdr *m) {
    struct cmsghdr *c = CMSG_FIRSTHDR(m);
    struct in_pktinfo info;
    if (!c || c->cmsg_level != IPPROTO_IP || c->cmsg_type != IP_PKTINFO)
        return false;
    memcpy(&info, CMSG_DATA(c), sizeof info);
    info = (struct in_pktinfo){.ipi_spec_dst = info.ipi_addr};
    memcpy(CMSG_DATA(c), &info, sizeof info);
    return true;
}

static bool serve_one(struct answerer *a, int fd) {
    uint8_t message[MESSAGE_MAX], out[DNS_ANSWER_MAX];
    union control control;
    struct sockaddr_in from;
    struct iovec piece = {message, sizeof message};
    struct msghdr m = {.msg_name = &from,
                       .msg_namelen = sizeof from,
                       .msg_iov = &piece,
                       .msg_iovlen = 1,
                       .msg_control = control.space,
                       .msg_controllen = sizeof control.space};
    ssize_t got = recvmsg(fd, &m, MSG_DONTWAIT);
    if (got < 0)
        return false;
    size_t length = answer(a, message, (size_t)got, out);
    piece = (struct iovec){out, length};
    if (length > 0 && answer_from_there(&m))
        sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
    return true;
}

static void on_udp(uv_poll_t *poll, int status, int events) {
    struct answerer *a = poll->data;
    uv_os_fd_t fd;
    (void)status;
    (void)events;
    uv_fileno((uv_handle_t *)poll, &fd);
    for (int i = 0; i < ROUNDS && serve_one(a, fd); i++)
        if (turn_is_long(a->loop))
            break;
}

/* ---- TCP ---- */

static size_t answer_stream(void *arg, const uint8_t *message, size_t length,
                            uint8_t out[DNS_ANSWER_MAX]) {
    return answer(arg, message, length, out);
}

static void on_stream_end(void *arg) {
    struct answerer *a = arg;
    a->streams--;
}

static void on_tcp(uv_poll_t *poll, int status, int events) {
    struct answerer *a = poll->data;
    uv_os_fd_t fd;
    (void)status;
    (void)events;
    uv_fileno((uv_handle_t *)poll, &fd);
    int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (client < 0)
        return;
    if (a->streams >= DNS_STREAMS_MAX) {
        close_fd(client);
        return;
    }
    a->streams++;
    stream_serve(a->loop, client, answer_stream, on_stream_end, a);
}

int answerer_start(struct answerer *a, int udp, int tcp, struct fault *f) {
    a->udp.data = a->tcp.data = a;
    if (watch_open(a->loop, &a->udp, udp, f) < 0 ||
        watch_open(a->loop, &a->tcp, tcp, f) < 0)
        return -1;
    uv_poll_start(&a->udp, UV_READABLE, on_udp);
    uv_poll_start(&a->tcp, UV_READABLE, on_tcp);
    return 0;
}
