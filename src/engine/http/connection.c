/* connection.c: the connections of a server: how many there may be, and how
 * long each may stay silent. */
#define _GNU_SOURCE
#include "base/clock.h"
#include "http/internal.h"
#include "http/listen.h"
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    /* The time limit for all headers of a request. */
    HEADER_SECONDS = 120,
    /* The time limit for a stranger on TCP to show the token. */
    STRANGER_SECONDS = 10
};

/* ---- coming and going ---- */

static void send_away(struct connection *c) {
    if (c->sent_away)
        return;
    c->sent_away = true;
    c->listener->strangers--;
    shutdown(c->fd, SHUT_RDWR);
    c->listener->server->kicked = true;
}

/* There is room for few strangers: a new one takes the place of the oldest. */
static void make_way(struct listener *l) {
    struct connection *oldest = NULL;
    for (struct connection *c = l->server->connections; c; c = c->next)
        if (c->listener == l && !c->known && !c->sent_away)
            oldest = c;
    if (oldest)
        send_away(oldest);
}

static bool has_room(void *listener) {
    const struct listener *l = listener;
    return l->count < l->server->o->most->connections;
}

/* Hand it to libmicrohttpd, which closes it, also on failure. */
static void take(void *listener, int fd, const struct sockaddr *peer,
                 socklen_t length) {
    struct listener *l = listener;
    MHD_add_connection(l->daemon, fd, peer, length);
    if (l->strangers > l->server->o->most->strangers)
        make_way(l);
    l->server->kicked = true;
}

static void connection_open(struct listener *l, struct MHD_Connection *mhd,
                            void **context) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct connection *c = info ? calloc(1, sizeof *c) : NULL;
    *context = c;
    if (!c)
        return;
    c->listener = l;
    c->fd = info->connect_fd;
    c->opened = c->since = monotonic_seconds();
    c->ours = !l->tcp && peer_is_us(c->fd);
    c->refused = !l->tcp && !c->ours &&
                 !(l->server->o->group && peer_has_our_group(c->fd));
    c->known = !l->tcp && !c->refused;
    l->count++;
    l->strangers += !c->known;
    c->next = l->server->connections;
    if (c->next)
        c->next->previous = c;
    l->server->connections = c;
}

void connection_know(struct connection *c) {
    if (c->known)
        return;
    c->known = true;
    if (!c->sent_away)
        c->listener->strangers--;
}

static void connection_close(struct listener *l, void **context) {
    struct connection *c = *context;
    if (!c)
        return;
    if (c->next)
        c->next->previous = c->previous;
    if (c->previous)
        c->previous->next = c->next;
    else
        l->server->connections = c->next;
    l->count--;
    if (!c->known && !c->sent_away)
        l->strangers--;
    free(c);
    *context = NULL;
    accept_resume(&l->acceptor);
}

void connection_notify(void *listener, struct MHD_Connection *mhd,
                       void **context,
                       enum MHD_ConnectionNotificationCode code) {
    if (code == MHD_CONNECTION_NOTIFY_STARTED)
        connection_open(listener, mhd, context);
    else
        connection_close(listener, context);
}

int listener_accept(struct listener *l, int fd, struct fault *f) {
    l->acceptor.arg = l;
    l->acceptor.take = take;
    l->acceptor.has_room = has_room;
    if (accept_open(&l->acceptor, l->server->o->loop, fd, f) < 0)
        return -1;
    l->accepting = true;
    return 0;
}

/* ---- watching them ---- */

static bool peer_has_gone(int fd) {
    struct pollfd p = {.fd = fd};
    return poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLERR));
}

/* The peer has closed its sending side and everything it sent was read: an
 * incomplete request stays so. */
static bool peer_has_finished(int fd) {
    struct pollfd p = {.fd = fd, .events = POLLRDHUP};
    int lying = 0;
    return poll(&p, 1, 0) > 0 && (p.revents & POLLRDHUP) &&
           ioctl(fd, FIONREAD, &lying) == 0 && lying == 0;
}

/* libmicrohttpd does not watch a suspended connection. */
static void check_waiting(struct request *r) {
    if (!peer_has_gone(r->connection->fd))
        return;
    if (r->gone) {
        void (*gone)(void *) = r->gone;
        r->gone = NULL;
        gone(r->gone_arg);
    } else if (!r->stream) {
        return; /* a worker makes the reply and needs the request */
    }
    r->aborted = true;
    request_resume(r);
}

/* libmicrohttpd spins when the head of a chunk does not fit into its memory: it
 * waits for more bytes and reads none. The sign of it are bytes that lie unread
 * from one tick to the next although none were taken in between. Then end the
 * connection by a short time limit: libmicrohttpd has no other way to do so. */
static void check_receiving(struct request *r) {
    int lying = 0;
    if (ioctl(r->connection->fd, FIONREAD, &lying) < 0)
        return;
    if (lying > 0 && r->lying && r->received == r->received_before)
        MHD_set_connection_option(r->mhd, MHD_CONNECTION_OPTION_TIMEOUT, 1U);
    r->lying = lying > 0;
    r->received_before = r->received;
}

static void check_connection(struct connection *c, double now) {
    struct request *r = c->request;
    if (r && r->suspended)
        check_waiting(r);
    else if (!(r && r->complete) && peer_has_finished(c->fd))
        shutdown(c->fd, SHUT_RDWR);
    else if (r && r->begun && !r->complete)
        check_receiving(r);
    else if (!(r && r->begun) &&
             now - (r ? r->since : c->since) > HEADER_SECONDS)
        shutdown(c->fd, SHUT_RDWR);
    if (!c->known && now - c->opened > STRANGER_SECONDS)
        send_away(c);
}

bool connections_tick(struct http_server *s) {
    double now = monotonic_seconds();
    bool needed = false;
    for (struct connection *c = s->connections, *next; c; c = next) {
        next = c->next;
        check_connection(c, now);
        if (c->request && c->request->suspended)
            reply_body_tick(c->request, now);
        needed = needed || c->request || !c->known;
    }
    return needed;
}
