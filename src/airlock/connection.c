/* connection.c: see connection.h. */
#define _GNU_SOURCE
#include "airlock/connection.h"
#include "airlock/dial.h"
#include "airlock/hello.h"
#include "airlock/http.h"
#include "base/descriptor.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* How much of what the client says first is kept until it is decided. */
enum { FIRST_MAX = 64 << 10, PASS_MAX = 1 << 20, REFUSAL_MAX = 1024 };

/* What the client has to speak. */
enum speech {
    SPEECH_ANY,     /* nothing is known of it */
    SPEECH_UNKNOWN, /* it is checked if it is TLS or HTTP */
    SPEECH_TLS,
    SPEECH_HTTP
};

struct connection {
    struct traffic *traffic;
    struct connection *next, **place; /* in the traffic's list */
    uv_timer_t deadline;
    uv_poll_t client_poll, upstream_poll;
    bool client_watched, upstream_watched;
    int open_handles;
    int client, upstream; /* until the relay has them */
    struct target target;
    struct allowance allowance;
    enum speech speech;
    struct dial *dial;
    struct buffer first; /* what the client has said so far */
    struct hello *hello;
    struct http *http;  /* as long as it is HTTP, and read */
    struct buffer pass; /* of what it said, what is passed on */
    struct relay *relay;
    bool said_enough;                   /* what it said is allowed */
    bool intercepted;                   /* its requests are changed, too */
    void (*then)(struct connection *c); /* when all handles are closed */
};

/* ---- ending ---- */

static void free_connection(void *arg) {
    struct connection *c = arg;
    c->traffic->count--;
    *c->place = c->next;
    if (c->next)
        c->next->place = c->place;
    close_with_reset(&c->client);
    close_with_reset(&c->upstream);
    buffer_free(&c->first);
    buffer_free(&c->pass);
    hello_free(c->hello);
    http_free(c->http);
    free(c);
}

static void reset(struct connection *c) {
    free_connection(c);
}

static void on_closed(uv_handle_t *handle) {
    struct connection *c = handle->data;
    if (--c->open_handles == 0)
        c->then(c);
}

/* It is decided: go on when nothing here watches the sockets any more. */
static void leave(struct connection *c, void (*then)(struct connection *c)) {
    struct traffic *t = c->traffic;
    if (c->then)
        return;
    c->then = then;
    dial_cancel(c->dial);
    c->dial = NULL;
    if (c->client_watched)
        watch_close(&c->client_poll, on_closed);
    if (c->upstream_watched)
        watch_close(&c->upstream_poll, on_closed);
    uv_close((uv_handle_t *)&c->deadline, on_closed);
    if (t->undecided-- == UNDECIDED_MAX)
        t->room(t->arg);
}

static struct occurrence describe(const struct target *t,
                                  const char *protocol) {
    return (struct occurrence){.protocol = protocol,
                               .name = t->name,
                               .address = t->name ? NULL : &t->address,
                               .port = t->port};
}

static void refuse(struct connection *c, const char *protocol,
                   enum refusal why) {
    struct occurrence o = describe(&c->target, protocol);
    if (c->then)
        return;
    events_refused(c->traffic->events, &o, why);
    leave(c, reset);
}

/* ---- relaying ---- */

static void set_up(int fd) {
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
}

/* Of the sandbox's side. The other end is on this machine, so little is enough,
 * and what is under way stays in a cache of the processor. The kernel would let
 * it grow to megabytes, which takes half of the throughput. */
static void keep_small(int fd) {
    const int size = 256 << 10;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
}

static void tell_refusal(struct connection *c, int client) {
    struct http_refusal r = http_refusal(c->http);
    struct occurrence o = describe(&c->target, "http");
    struct buffer text;
    o.method = r.method;
    o.path = r.path;
    o.path_length = r.path_length;
    events_refused(c->traffic->events, &o, r.why);
    buffer_init(&text, REFUSAL_MAX);
    http_write_refusal(c->http, &text);
    farewell(&c->traffic->farewells, client, &text);
    buffer_free(&text);
}

/* All later requests of a connection. */
static bool take(void *arg, const char *data, size_t length,
                 struct buffer *out) {
    struct connection *c = arg;
    if (http_take(c->http, data, length, out) == HTTP_GOES_ON)
        return true;
    tell_refusal(c, relay_release(c->relay));
    return false;
}

static void relay(struct connection *c) {
    struct traffic *t = c->traffic;
    int client = steal_fd(&c->client), upstream = steal_fd(&c->upstream);
    c->relay = relay_start(t->loop, &t->pipes, client, upstream,
                           free_connection, c, NULL);
    if (!c->relay) {
        free_connection(c);
        return;
    }
    struct buffer *said = c->http ? &c->pass : &c->first;
    if (said->length > 0 &&
        relay_offer(c->relay, said->data, said->length, NULL) < 0)
        relay_abort(c->relay);
    if (c->http)
        relay_filter(c->relay, take, c);
    buffer_free(&c->first);
    buffer_free(&c->pass);
    hello_free(c->hello);
    c->hello = NULL;
}

/* From here on it is `intercept`'s. */
static void hand_over(struct connection *c) {
    const struct interception i = {.target = &c->target,
                                   .client = steal_fd(&c->client),
                                   .upstream = steal_fd(&c->upstream),
                                   .tls = c->hello != NULL,
                                   .said = c->first.data,
                                   .said_length = c->first.length};
    intercept(c->traffic->interceptor, &i, free_connection, c);
}

static void go_on(struct connection *c) {
    if (c->upstream >= 0 && c->said_enough)
        leave(c, c->intercepted ? hand_over : relay);
}

/* Whether requests have to be read, over TLS, too. */
static bool is_to_be_intercepted(const struct connection *c) {
    const struct interceptor *i = c->traffic->interceptor;
    return secrets_want(i->secrets, &c->target) ||
           (c->hello && c->allowance.read_requests);
}

/* ---- what the client says ---- */

static void check_name(struct connection *c) {
    const char *name = hello_name(c->hello);
    if (hello_is_encrypted(c->hello))
        refuse(c, "tls", REFUSED_ECH);
    else if (c->target.name && strcmp(name, c->target.name) != 0)
        refuse(c, "tls", REFUSED_SNI);
    else if (c->allowance.read_requests && !c->target.name)
        refuse(c, "tls", REFUSED_ENCRYPTED); /* whose certificate? */
    else
        c->said_enough = true;
    c->intercepted = c->said_enough && is_to_be_intercepted(c);
}

static void read_hello(struct connection *c, const char *data, size_t length) {
    if (!c->hello)
        c->hello = hello_make();
    enum hello_state state =
        c->hello ? hello_feed(c->hello, data, length) : HELLO_BROKEN;
    if (state == HELLO_READ)
        check_name(c);
    else if (state == HELLO_BROKEN)
        refuse(c, "tls", REFUSED_PROTOCOL);
}

static void say_no(struct connection *c) {
    tell_refusal(c, steal_fd(&c->client));
    free_connection(c);
}

static void read_request(struct connection *c, const char *data,
                         size_t length) {
    if (!c->http)
        c->http = http_make(c->traffic->policy, &c->target);
    if (!c->http) {
        leave(c, reset);
        return;
    }
    http_use_secrets(c->http, c->traffic->interceptor->secrets);
    switch (http_take(c->http, data, length, &c->pass)) {
    case HTTP_GOES_ON:
        c->said_enough = http_has_request(c->http);
        return;
    case HTTP_REFUSED:
        leave(c, say_no);
        return;
    case HTTP_SIGNS: /* whose host is wanted is intercepted instead */
        leave(c, reset);
        return;
    case HTTP_NOT:
        if (c->speech == SPEECH_HTTP) {
            refuse(c, "http", REFUSED_PROTOCOL);
            return;
        }
        http_free(c->http);
        c->http = NULL;
        c->said_enough = true;
    }
}

/* `length` bytes have been added to c->first. */
static void listen_to(struct connection *c, size_t length) {
    const char *data = c->first.data + c->first.length - length;
    enum { TLS_HANDSHAKE = 22 };
    bool tls = c->first.data[0] == TLS_HANDSHAKE;
    if (tls || c->speech == SPEECH_TLS)
        read_hello(c, data, length);
    else if (is_to_be_intercepted(c))
        c->intercepted = c->said_enough = true;
    else
        read_request(c, data, length);
}

static void hear(struct connection *c) {
    char data[16 << 10];
    ssize_t got = recv(c->client, data, sizeof data, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got < 0) {
        leave(c, reset);
    } else if (got == 0) {
        /* It has nothing to say; the other side may. */
        uv_poll_stop(&c->client_poll);
        c->said_enough = c->first.length == 0 && c->speech == SPEECH_UNKNOWN;
        if (!c->said_enough)
            leave(c, reset);
    } else if (buffer_add(&c->first, data, (size_t)got)) {
        listen_to(c, (size_t)got);
    } else {
        refuse(c, "tcp", REFUSED_LIMIT);
    }
    if (c->said_enough)
        uv_poll_stop(&c->client_poll);
    go_on(c);
}

static void on_client(uv_poll_t *poll, int status, int events) {
    struct connection *c = poll->data;
    (void)status; /* an error shows when the socket is used */
    (void)events;
    if (!c->then)
        hear(c);
}

/* The server speaks first: it is neither TLS nor HTTP. */
static void on_upstream(uv_poll_t *poll, int status, int events) {
    struct connection *c = poll->data;
    (void)status;
    (void)events;
    if (c->then)
        return;
    c->said_enough = c->said_enough || c->first.length == 0;
    uv_poll_stop(&c->upstream_poll);
    go_on(c);
}

static bool watch(struct connection *c, uv_poll_t *poll, int fd,
                  uv_poll_cb call) {
    if (watch_open(c->traffic->loop, poll, fd, NULL) < 0)
        return false;
    poll->data = c;
    c->open_handles++;
    uv_poll_start(poll, UV_READABLE, call);
    return true;
}

/* ---- dialling ---- */

static void on_dialled(void *arg, int fd, const struct address *to,
                       enum refusal why) {
    struct connection *c = arg;
    c->dial = NULL;
    if (fd < 0) {
        refuse(c, "tcp", why);
        return;
    }
    c->upstream = fd;
    set_up(fd);
    if (c->traffic->trace) {
        struct occurrence o = describe(&c->target, NULL);
        o.address = to;
        events_connected(c->traffic->events, &o);
    }
    if (c->speech == SPEECH_UNKNOWN && !c->said_enough)
        c->upstream_watched = watch(c, &c->upstream_poll, fd, on_upstream);
    go_on(c);
}

static void on_deadline(uv_timer_t *timer) {
    struct connection *c = timer->data;
    refuse(c, "tcp", c->upstream < 0 ? REFUSED_UNREACHABLE : REFUSED_LIMIT);
}

/* ---- beginning ---- */

static enum speech speech_of(const struct connection *c) {
    enum { HTTP = 80, HTTPS = 443 };
    if (c->allowance.read_requests ||
        (c->target.name && c->target.port == HTTP))
        return SPEECH_HTTP;
    if (!c->target.name) /* no name to be held against */
        return SPEECH_ANY;
    return c->target.port == HTTPS ? SPEECH_TLS : SPEECH_UNKNOWN;
}

static int find_target(const struct traffic *t, int client,
                       struct target *out) {
    struct sockaddr_storage sa;
    socklen_t size = sizeof sa;
    if (getsockname(client, (struct sockaddr *)&sa, &size) < 0 ||
        sa.ss_family != AF_INET ||
        !address_of((struct sockaddr *)&sa, &out->address))
        return -1;
    out->port = ntohs(((struct sockaddr_in *)&sa)->sin_port);
    out->name = names_find(t->names, &out->address);
    return 0;
}

static void begin(struct connection *c) {
    struct traffic *t = c->traffic;
    uv_timer_init(t->loop, &c->deadline);
    c->deadline.data = c;
    c->open_handles++;
    t->count++;
    t->undecided++;
    c->next = t->list;
    c->place = &t->list;
    if (c->next)
        c->next->place = &c->next;
    t->list = c;
    uv_timer_start(&c->deadline, on_deadline, DECIDED_IN_MS, 0);
    set_up(c->client);
    keep_small(c->client);
    c->said_enough = c->speech == SPEECH_ANY;
    if (!c->said_enough)
        c->client_watched = watch(c, &c->client_poll, c->client, on_client);
    c->dial =
        dial_start(t->loop, t->resolver, t->policy, &c->target, on_dialled, c);
    if (!c->dial || !(c->client_watched || c->said_enough))
        leave(c, reset);
}

void connection_take(struct traffic *t, int client) {
    struct target target = {0};
    struct allowance allowance = {0};
    if (find_target(t, client, &target) < 0) {
        close_with_reset(&client);
        return;
    }
    enum refusal why = policy_connection(t->policy, &target, &allowance);
    if (why == REFUSED_NOT && t->count >= t->most)
        why = REFUSED_LIMIT;
    struct connection *c = why == REFUSED_NOT ? calloc(1, sizeof *c) : NULL;
    if (!c) {
        struct occurrence o = describe(&target, "tcp");
        if (why != REFUSED_NOT)
            events_refused(t->events, &o, why);
        close_with_reset(&client);
        return;
    }
    *c = (struct connection){.traffic = t,
                             .client = client,
                             .upstream = -1,
                             .target = target,
                             .allowance = allowance};
    buffer_init(&c->first, FIRST_MAX);
    buffer_init(&c->pass, PASS_MAX);
    c->speech = speech_of(c);
    begin(c);
}

void connections_reset(struct traffic *t) {
    for (struct connection *c = t->list; c; c = c->next)
        if (c->relay)
            relay_abort(c->relay);
        else
            leave(c, reset);
}
