/* ports.c: see ports.h. A connection goes through the states of `struct
 * connection`; whatever fails on the way, its client sees a reset. */
#define _GNU_SOURCE
#include "operation/ports.h"
#include "base/descriptor.h"
#include "base/json.h"
#include "base/listen_tcp.h"
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
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    PORTS_MAX = 64,         /* of one run */
    CONNECTIONS_MAX = 4096, /* of one run */
    AT_A_TIME = 4,          /* taken in one turn of the loop */
    AGAIN_MS = 20,          /* when no more can be taken now */
    RETRY_MS = 20,          /* and twice as long each time, */
    DOUBLINGS = 4,          /* so many times */
    GIVE_UP_MS = 120000,
    LINGER_MS = 5000, /* for clients to read what is left at the end */
};

struct port {
    struct port *next;
    struct operation *op; /* a reference */
    int id, fd, open_handles;
    char address[ADDRESS_SIZE];
    int64_t number;
    char *path;
    size_t connections;
    bool closed;
    uv_poll_t poll;
    uv_timer_t again;
};

struct connection {
    struct connection *next, *previous;
    struct operation *op; /* a reference */
    int port;             /* its id */
    int64_t number;       /* of the port */
    unsigned id;          /* of the order */
    int outer, inner;
    enum {
        ASKING,     /* init for a socket */
        CONNECTING, /* it: `poll` waits */
        CONNECTED,  /* or refused: `poll` is being closed */
        RELAYING,
        CLOSING /* given up: `poll` is being closed */
    } state;
    bool version6;  /* 127.0.0.1 has refused */
    uint64_t since; /* when it was last tried to connect: uv_now() */
    unsigned tries;
    uv_poll_t poll;
    struct relay *relay;
};

struct ports {
    struct port *list;
    struct connection *connections;
    size_t count, connection_count;
    int next_id;
    unsigned next_order;
    bool over, has_timer;
    uv_timer_t timer; /* tries again; at the end: ends all */
};

static struct port *find_port(const struct operation *op, int id) {
    struct port *p = op->ports ? op->ports->list : NULL;
    while (p && p->id != id)
        p = p->next;
    return p;
}

/* ---- connections ---- */

static void close_timer(struct operation *op);

static void drop_connection(struct connection *c) {
    struct operation *op = c->op;
    struct ports *all = op->ports;
    struct port *p = find_port(op, c->port);
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
    if (p)
        p->connections--;
    if (all->over && all->connection_count == 0)
        close_timer(op);
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
    if (c->state == CONNECTING) {
        c->state = CLOSING;
        watch_close(&c->poll, on_dropped);
    } else if (c->state == CONNECTED) {
        c->state = CLOSING;
    } else if (c->state == ASKING) {
        drop_connection(c);
    }
}

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

static void ask(struct connection *c);

static void on_settled(uv_handle_t *handle) {
    struct connection *c = handle->data;
    int error = 0;
    socklen_t length = sizeof error;
    if (getsockopt(c->inner, SOL_SOCKET, SO_ERROR, &error, &length) < 0)
        error = errno;
    if (c->state == CLOSING) {
        drop_connection(c);
    } else if (error == 0) {
        relay(c);
    } else if (error == ECONNREFUSED && !c->version6 && !c->op->ports->over) {
        drop_fd(&c->inner);
        c->version6 = true;
        ask(c);
    } else {
        drop_connection(c);
    }
}

static void on_connected(uv_poll_t *poll, int status, int events) {
    (void)status;
    (void)events;
    ((struct connection *)poll->data)->state = CONNECTED;
    watch_close(poll, on_settled);
}

/* Connect a socket of the sandbox, to its own loopback interface. */
static int start_connecting(struct connection *c) {
    struct sockaddr_in four = {.sin_family = AF_INET,
                               .sin_port = htons((uint16_t)c->number),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6,
                               .sin6_port = htons((uint16_t)c->number),
                               .sin6_addr = in6addr_loopback};
    int rc = c->version6
                 ? connect(c->inner, (struct sockaddr *)&six, sizeof six)
                 : connect(c->inner, (struct sockaddr *)&four, sizeof four);
    return rc < 0 && errno != EINPROGRESS ? -1 : 0;
}

/* The loop may be late to hear of it. */
static bool has_settled(const struct connection *c) {
    struct pollfd p = {.fd = c->inner, .events = POLLOUT};
    return poll(&p, 1, 0) != 0;
}

/* Connecting on a loopback interface takes no time, unless the program does not
 * take its connections fast enough: then the kernel drops the request and tries
 * again a second later. That is too long here. */
static void connect_again(struct connection *c, uint64_t now) {
    const struct sockaddr none = {.sa_family = AF_UNSPEC};
    unsigned doublings = c->tries < DOUBLINGS ? c->tries : DOUBLINGS;
    uint64_t patience = (uint64_t)RETRY_MS << doublings;
    if (c->state != CONNECTING || now - c->since < patience || has_settled(c))
        return;
    c->tries++;
    c->since = now;
    if (c->tries > GIVE_UP_MS / (RETRY_MS << DOUBLINGS) ||
        connect(c->inner, &none, sizeof none) < 0 || start_connecting(c) < 0)
        refuse(c);
}

static void on_retry(uv_timer_t *timer) {
    struct operation *op = timer->data;
    uint64_t now = uv_now(timer->loop);
    bool waiting = false;
    for (struct connection *c = op->ports->connections; c; c = c->next) {
        connect_again(c, now);
        waiting = waiting || c->state == CONNECTING;
    }
    if (!waiting)
        uv_timer_stop(timer);
}

static void use_socket(struct connection *c) {
    struct fault f;
    if (c->number == 0) {
        relay(c);
        return;
    }
    if (start_connecting(c) < 0 ||
        watch_open(c->op->all->engine->loop, &c->poll, c->inner, &f) < 0) {
        drop_connection(c);
        return;
    }
    c->poll.data = c;
    c->state = CONNECTING;
    c->since = uv_now(c->poll.loop);
    if (!uv_is_active((uv_handle_t *)&c->op->ports->timer))
        uv_timer_start(&c->op->ports->timer, on_retry, RETRY_MS, RETRY_MS);
    uv_poll_start(&c->poll, UV_WRITABLE, on_connected);
}

void ports_socket(struct operation *op, unsigned id, int fd,
                  const struct fault *why) {
    struct connection *c = op->ports ? op->ports->connections : NULL;
    while (c && (c->state != ASKING || c->id != id))
        c = c->next;
    if (!c) {
        close_fd(fd);
        return;
    }
    c->inner = fd;
    if (why)
        drop_connection(c);
    else
        use_socket(c);
}

/* Order a socket for it. */
static void ask(struct connection *c) {
    const struct port *p = find_port(c->op, c->port);
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

/* ---- listening ---- */

static void on_incoming(uv_poll_t *poll, int status, int events);

static void on_again(uv_timer_t *timer) {
    struct port *p = timer->data;
    uv_poll_start(&p->poll, UV_READABLE, on_incoming);
}

/* Clients wait in the backlog, which would wake the loop again and again. */
static void rest(struct port *p) {
    uv_poll_stop(&p->poll);
    uv_timer_start(&p->again, on_again, AGAIN_MS, 0);
}

static bool has_room(const struct operation *op) {
    return op->ports->connection_count < CONNECTIONS_MAX &&
           op->all->relays < op->all->engine->descriptors.relays;
}

static void take(struct port *p, int fd) {
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
    ask(c);
}

static void on_incoming(uv_poll_t *poll, int status, int events) {
    struct port *p = poll->data;
    (void)status;
    (void)events;
    for (int i = 0; i < AT_A_TIME && (i == 0 || !turn_is_long(poll->loop));
         i++) {
        int fd = has_room(p->op)
                     ? accept4(p->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)
                     : -1;
        if (fd >= 0) {
            take(p, fd);
            continue;
        }
        if (!has_room(p->op) || errno == EMFILE || errno == ENFILE ||
            errno == ENOBUFS || errno == ENOMEM)
            rest(p);
        return;
    }
}

static void on_port_closed(uv_handle_t *handle) {
    struct port *p = handle->data;
    struct operation *op = p->op;
    if (--p->open_handles > 0)
        return;
    free(p->path);
    free(p);
    operation_unref(op);
}

/* New clients are refused from now on. A descriptor may be closed only when the
 * loop has let go of it, but that it listens no more cannot wait. */
static void on_poll_closed(uv_handle_t *handle) {
    struct port *p = handle->data;
    drop_fd(&p->fd);
    on_port_closed(handle);
}

static void close_port(struct port *p) {
    struct ports *all = p->op->ports;
    struct port **at = &all->list;
    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    all->count--;
    shutdown(p->fd, SHUT_RDWR);
    watch_close(&p->poll, on_poll_closed);
    uv_close((uv_handle_t *)&p->again, on_port_closed);
}

static struct ports *get_ports(struct operation *op, struct fault *f) {
    if (op->ports)
        return op->ports;
    op->ports = calloc(1, sizeof *op->ports);
    if (!op->ports) {
        fault_memory(f);
        return NULL;
    }
    op->ports->next_id = 1;
    uv_timer_init(op->all->engine->loop, &op->ports->timer);
    op->ports->timer.data = op;
    op->ports->has_timer = true;
    op->references++;
    return op->ports;
}

/* 409 if another program has the address: it may be free later. */
static int listen_at(struct port *p, const char *address, struct fault *f) {
    p->fd = listen_tcp(address, "listen", true, p->address, f);
    if (p->fd < 0 && errno == EADDRINUSE)
        f->status = 409;
    return p->fd < 0 ? -1 : 0;
}

static struct port *port_new(struct operation *op, const struct port_request *r,
                             struct fault *f) {
    struct port *p = calloc(1, sizeof *p);
    if (p && r->path)
        p->path = strdup(r->path);
    if (!p || (r->path && !p->path)) {
        free(p);
        fault_memory(f);
        return NULL;
    }
    uv_loop_t *loop = op->all->engine->loop;
    p->op = op;
    p->number = r->port;
    p->poll.data = p->again.data = p;
    if (listen_at(p, r->listen ? r->listen : "127.0.0.1:0", f) == 0 &&
        watch_open(loop, &p->poll, p->fd, f) == 0) {
        uv_timer_init(loop, &p->again);
        p->open_handles = 2;
        return p;
    }
    drop_fd(&p->fd);
    free(p->path);
    free(p);
    return NULL;
}

int ports_add(struct operation *op, const struct port_request *r,
              struct fault *f) {
    struct ports *all =
        op->kind->check_orders(op, f) < 0 ? NULL : get_ports(op, f);
    if (!all)
        return -1;
    if (all->count >= PORTS_MAX)
        return fault_set(f, 429, "the operation has %d ports, the most it may",
                         PORTS_MAX);
    struct port *p = port_new(op, r, f);
    if (!p)
        return -1;
    p->id = all->next_id++;
    p->next = all->list;
    all->list = p;
    all->count++;
    op->references++;
    uv_poll_start(&p->poll, UV_READABLE, on_incoming);
    return p->id;
}

/* ---- ending ---- */

/* End the connections of a port, or all. Those that are relayed drop
 * themselves later. */
static void end_connections(struct ports *all, int port, bool finish) {
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

int ports_remove(struct operation *op, int id, struct fault *f) {
    struct port *p = find_port(op, id);
    if (!p)
        return fault_set(f, 404, "the operation has no port %d", id);
    close_port(p);
    end_connections(op->ports, id, false);
    return 0;
}

static void on_timer_closed(uv_handle_t *handle) {
    operation_unref(handle->data);
}

static void close_timer(struct operation *op) {
    struct ports *all = op->ports;
    if (all->has_timer)
        uv_close((uv_handle_t *)&all->timer, on_timer_closed);
    all->has_timer = false;
}

static void on_lingered(uv_timer_t *timer) {
    struct operation *op = timer->data;
    end_connections(op->ports, 0, false);
}

void ports_end(struct operation *op) {
    struct ports *all = op->ports;
    if (!all || all->over)
        return;
    all->over = true;
    op->references++;
    while (all->list)
        close_port(all->list);
    uv_timer_start(&all->timer, on_lingered, LINGER_MS, 0);
    end_connections(all, 0, true);
    if (all->connection_count == 0)
        close_timer(op);
    operation_unref(op);
}

void ports_free(struct operation *op) {
    free(steal_pointer(&op->ports));
}

/* ---- telling ---- */

static void write_port(struct buffer *b, const struct port *p) {
    json_open(b, NULL, '{');
    json_add_int(b, "id", p->id);
    json_add_string(b, "address", p->address);
    if (p->path)
        json_add_name(b, "path", p->path);
    else
        json_add_int(b, "port", p->number);
    json_add_int(b, "connections", (int64_t)p->connections);
    json_close(b, '}');
}

void ports_write(struct buffer *b, const struct operation *op, int id) {
    const struct port *p = find_port(op, id);
    if (p)
        write_port(b, p);
}

void ports_write_all(struct buffer *b, const struct operation *op) {
    for (const struct port *p = op->ports ? op->ports->list : NULL; p;
         p = p->next)
        write_port(b, p);
}
