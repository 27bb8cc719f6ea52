/* ports.c: see ports.h. */
#define _GNU_SOURCE
#include "operation/ports.h"
#include "base/descriptor.h"
#include "base/json.h"
#include "base/listen_tcp.h"
#include "base/scope.h"
#include "base/turn.h"
#include "operation/connection.h"
#include "operation/internal.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    PORTS_MAX = 64,         /* of one run */
    CONNECTIONS_MAX = 4096, /* of one run */
    AT_A_TIME = 4,          /* taken in one turn of the loop */
    AGAIN_MS = 20,          /* when no more can be taken now */
    LINGER_MS = 5000,       /* for clients to read what is left at the end */
};

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
            connection_start(p, fd);
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

int ports_remove(struct operation *op, int id, struct fault *f) {
    struct port *p = connection_port(op, id);
    if (!p)
        return fault_set(f, 404, "the operation has no port %d", id);
    connections_end(op->ports, id, false);
    close_port(p);
    return 0;
}

static void on_lingered(uv_timer_t *timer) {
    struct operation *op = timer->data;
    connections_end(op->ports, 0, false);
}

void ports_end(struct operation *op) {
    struct ports *all = op->ports;
    if (!all || all->over)
        return;
    all->over = true;
    op->references++;
    uv_timer_start(&all->timer, on_lingered, LINGER_MS, 0);
    connections_end(all, 0, true);
    while (all->list)
        close_port(all->list);
    if (all->connection_count == 0)
        connections_close_timer(op);
    operation_unref(op);
}

void ports_free(struct operation *op) {
    free(steal_pointer(&op->ports));
}

void ports_socket(struct operation *op, unsigned id, int fd,
                  const struct fault *why) {
    connection_socket(op, id, fd, why);
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
    const struct port *p = connection_port(op, id);
    if (p)
        write_port(b, p);
}

void ports_write_all(struct buffer *b, const struct operation *op) {
    for (const struct port *p = op->ports ? op->ports->list : NULL; p;
         p = p->next)
        write_port(b, p);
}
