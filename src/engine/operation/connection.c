/* connection.c: see connection.h. */
#define _GNU_SOURCE
#include "operation/connection.h"
#include "base/descriptor.h"
#include "base/relay.h"
#include "base/scope.h"
#include "base/turn.h"
#include "operation/internal.h"
#include "sandbox/sandbox.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

enum {
    DELAY_MIN_MS = 1, /* and twice as long each time */
    DELAY_MAX_MS = 32,
    GIVE_UP_MS = 120000
};

struct connection {
    struct connection *next, *previous;
    struct connection *before, *behind; /* in line */
    bool in_line;
    struct operation *op; /* a reference */
    int port;             /* its id */
    int64_t number;       /* of the port */
    unsigned id;          /* of the order */
    int outer, inner;
    enum {
        ASKING,     /* init for a socket */
        WAITING,    /* in line */
        CONNECTING, /* the first in line: `poll` waits */
        CONNECTED,  /* or refused: `poll` is being closed */
        RELAYING,
        CLOSING /* given up: `poll` is being closed */
    } state;
    int error;      /* of connect(), if it has failed at once */
    bool version6;  /* 127.0.0.1 has refused */
    uint64_t since; /* when it came into line: uv_now() */
    uv_poll_t poll;
    struct relay *relay;
};

struct port *connection_port(const struct operation *op, int id) {
    struct port *p = op->ports ? op->ports->list : NULL;
    while (p && p->id != id)
        p = p->next;
    return p;
}

/* ---- the line ---- */

static void come_into_line(struct port *p, struct connection *c) {
    if (c->in_line)
        return;
    c->in_line = true;
    c->since = uv_now(c->op->all->engine->loop);
    c->before = p->last;
    c->behind = NULL;
    if (p->last)
        p->last->behind = c;
    else
        p->first = c;
    p->last = c;
}

static void leave_line(struct port *p, struct connection *c) {
    if (!c->in_line)
        return;
    c->in_line = false;
    if (c->before)
        c->before->behind = c->behind;
    else
        p->first = c->behind;
    if (c->behind)
        c->behind->before = c->before;
    else
        p->last = c->before;
}

/* ---- the end of one ---- */

static void drop_connection(struct connection *c) {
    struct operation *op = c->op;
    struct ports *all = op->ports;
    struct port *p = connection_port(op, c->port);
    if (c->next)
        c->next->previous = c->previous;
    if (c->previous)
        c->previous->next = c->next;
    else
        all->connections = c->next;
    close_with_reset(&c->outer);
    drop_fd(&c->inner);
    all->connection_count--;
    op->all->relays--;
    if (p) {
        p->connections--;
        leave_line(p, c);
    }
    if (all->over && all->connection_count == 0)
        connections_close_timer(op);
    free(c);
    operation_unref(op);
}

static void on_relayed(void *arg) {
    drop_connection(arg);
}

static void on_dropped(uv_handle_t *handle) {
    drop_connection(handle->data);
}

/* Give up on a connection that is not relayed yet. */
static void refuse(struct connection *c) {
    struct port *p = connection_port(c->op, c->port);
    if (p)
        leave_line(p, c);
    if (c->state == CONNECTING) {
        c->state = CLOSING;
        watch_close(&c->poll, on_dropped);
    } else if (c->state == CONNECTED) {
        c->state = CLOSING;
    } else if (c->state == ASKING || c->state == WAITING) {
        drop_connection(c);
    }
}

/* ---- connecting ---- */

static void set_up(int fd) {
    int one = 1;
    /* Of no effect on Unix sockets. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
}

static void relay(struct connection *c) {
    struct operations *all = c->op->all;
    struct fault f;
    int outer = steal_fd(&c->outer), inner = steal_fd(&c->inner);
    set_up(outer);
    set_up(inner);
    c->state = RELAYING;
    c->relay = relay_start(all->engine->loop, &all->pipes, outer, inner,
                           on_relayed, c, &f);
    if (!c->relay)
        drop_connection(c);
    else if (c->op->ports->over)
        relay_finish(c->relay);
}

/* Order a socket for it. */
static void ask(struct connection *c) {
    const struct port *p = connection_port(c->op, c->port);
    struct fault f;
    unsigned kind = c->number == 0 ? SOCKET_UNIX
                    : c->version6  ? SOCKET_INET6
                                   : SOCKET_INET;
    c->state = ASKING;
    c->id = c->op->ports->next_order++;
    if (!p || !c->op->sandbox ||
        sandbox_socket(c->op->sandbox, c->id, kind, p->path, &f) < 0)
        drop_connection(c);
}

/* The kernel has connected it, or has not. */
static void settle(struct connection *c, int error) {
    struct port *p = connection_port(c->op, c->port);
    if (p)
        leave_line(p, c);
    if (error == 0) {
        relay(c);
    } else if (error == ECONNREFUSED && !c->version6 && !c->op->ports->over) {
        drop_fd(&c->inner);
        c->error = 0;
        c->version6 = true;
        ask(c);
    } else {
        drop_connection(c);
    }
}

static int error_of(const struct connection *c) {
    int error = 0;
    socklen_t length = sizeof error;
    return getsockopt(c->inner, SOL_SOCKET, SO_ERROR, &error, &length) < 0
               ? errno
               : error;
}

/* Connect a socket of the sandbox to its own loopback interface. */
static int connect_inside(const struct connection *c) {
    struct sockaddr_in four = {.sin_family = AF_INET,
                               .sin_port = htons((uint16_t)c->number),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6,
                               .sin6_port = htons((uint16_t)c->number),
                               .sin6_addr = in6addr_loopback};
    int rc = c->version6
                 ? connect(c->inner, (struct sockaddr *)&six, sizeof six)
                 : connect(c->inner, (struct sockaddr *)&four, sizeof four);
    return rc < 0 && errno != EINPROGRESS ? errno : 0;
}

/* That takes no time, unless there is no room. */
static bool has_settled(const struct connection *c) {
    struct pollfd p = {.fd = c->inner, .events = POLLOUT};
    return poll(&p, 1, 0) != 0;
}

static void advance(struct port *p);

static void on_settled(uv_handle_t *handle) {
    struct connection *c = handle->data;
    struct port *p = connection_port(c->op, c->port);
    if (c->state == CLOSING)
        drop_connection(c);
    else
        settle(c, c->error ? c->error : error_of(c));
    if (p)
        advance(p);
}

static void on_connected(uv_poll_t *poll, int status, int events) {
    (void)status;
    (void)events;
    ((struct connection *)poll->data)->state = CONNECTED;
    watch_close(poll, on_settled);
}

/* The first in line, or one before which nobody is. */
static void start_connecting(struct port *p, struct connection *c) {
    struct fault f;
    int error = connect_inside(c);
    if (error || has_settled(c)) {
        settle(c, error ? error : error_of(c));
    } else if (watch_open(c->op->all->engine->loop, &c->poll, c->inner, &f) <
               0) {
        drop_connection(c);
    } else {
        come_into_line(p, c);
        c->poll.data = c;
        c->state = CONNECTING;
        uv_poll_start(&c->poll, UV_WRITABLE, on_connected);
    }
}

/* ---- trying again ---- */

static void on_delay(uv_timer_t *timer);

static void arm(struct ports *all, unsigned delay) {
    if (all->over || !all->has_timer)
        return;
    all->delay = delay;
    uv_timer_start(&all->timer, on_delay, delay, 0);
}

/* The one before them in line has got through, or was refused. */
static void advance(struct port *p) {
    const uv_loop_t *loop = p->op->all->engine->loop;
    while (p->first && p->first->state == WAITING && !turn_is_long(loop))
        if (p->number == 0)
            ask(p->first);
        else
            start_connecting(p, p->first);
    if (p->first)
        arm(p->op->ports, DELAY_MIN_MS);
}

static void connect_again(struct connection *c) {
    const struct sockaddr none = {.sa_family = AF_UNSPEC};
    if (has_settled(c)) /* the loop is about to hear of it */
        return;
    if (connect(c->inner, &none, sizeof none) < 0)
        refuse(c);
    else
        c->error = connect_inside(c); /* wakes the loop, too */
}

static void try_first(struct port *p, uint64_t now) {
    while (p->first && now - p->first->since > GIVE_UP_MS)
        refuse(p->first);
    if (p->first && p->first->state == CONNECTING)
        connect_again(p->first);
    else
        advance(p);
}

static void on_delay(uv_timer_t *timer) {
    struct operation *op = timer->data;
    struct ports *all = op->ports;
    unsigned delay = all->delay < DELAY_MAX_MS ? 2 * all->delay : DELAY_MAX_MS;
    bool waiting = false;
    for (struct port *p = all->list; p; p = p->next) {
        try_first(p, uv_now(timer->loop));
        waiting = waiting || p->first;
    }
    if (waiting)
        arm(all, delay);
}

static void wait_in_line(struct port *p, struct connection *c) {
    struct ports *all = p->op->ports;
    come_into_line(p, c);
    c->state = WAITING;
    if (!uv_is_active((uv_handle_t *)&all->timer))
        arm(all, DELAY_MIN_MS);
}

void connection_socket(struct operation *op, unsigned id, int fd,
                       const struct fault *why) {
    struct connection *c = op->ports ? op->ports->connections : NULL;
    while (c && (c->state != ASKING || c->id != id))
        c = c->next;
    struct port *p = c ? connection_port(op, c->port) : NULL;
    if (!p) {
        close_fd(fd);
        return;
    }
    c->inner = fd;
    if (why && why->status == SOCKET_BUSY) {
        wait_in_line(p, c);
    } else if (why) {
        refuse(c);
        advance(p);
    } else if (c->number == 0) {
        settle(c, 0);
        advance(p);
    } else if (p->first) {
        wait_in_line(p, c);
    } else {
        start_connecting(p, c);
    }
}

void connection_start(struct port *p, int fd) {
    struct operation *op = p->op;
    struct connection *c = calloc(1, sizeof *c);
    if (!c) {
        close_with_reset(&fd);
        return;
    }
    *c = (struct connection){.op = op,
                             .port = p->id,
                             .number = p->number,
                             .outer = fd,
                             .inner = -1,
                             .next = op->ports->connections};
    if (c->next)
        c->next->previous = c;
    op->ports->connections = c;
    op->ports->connection_count++;
    op->all->relays++;
    op->references++;
    p->connections++;
    if (p->first && p->number == 0)
        wait_in_line(p, c);
    else
        ask(c);
}

/* ---- the end of all ---- */

void connections_end(struct ports *all, int port, bool finish) {
    for (struct connection *c = all->connections, *next; c; c = next) {
        next = c->next;
        if (port && c->port != port)
            continue;
        if (!c->relay)
            refuse(c);
        else if (finish)
            relay_finish(c->relay);
        else
            relay_abort(c->relay);
    }
}

static void on_timer_closed(uv_handle_t *handle) {
    operation_unref(handle->data);
}

void connections_close_timer(struct operation *op) {
    struct ports *all = op->ports;
    if (all->has_timer)
        uv_close((uv_handle_t *)&all->timer, on_timer_closed);
    all->has_timer = false;
}
