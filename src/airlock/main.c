/* main.c: contree-airlock, what may leave a sandbox. One process a sandbox,
 * started by the engine; docs/inside/c/airlock.md has the protocol. */
#define _GNU_SOURCE
#include "airlock/answer.h"
#include "airlock/channel.h"
#include "airlock/confine.h"
#include "airlock/connection.h"
#include "airlock/network.h"
#include "airlock/stray.h"
#include "base/descriptor.h"
#include "base/json.h"
#include "base/turn.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* What the engine hands over. */
enum { CONFIG_FD = 3, ENGINE_FD, NET_FD, CONFIG_MAX = 16 << 20 };

enum {
    ACCEPTED_AT_ONCE = 32,
    PAUSE_MS = 100,
    OWN_DESCRIPTORS = 320,
    EACH_CONNECTION = 6
};

struct airlock {
    uv_loop_t loop;
    struct policy *policy;
    struct secrets secrets;
    struct interceptor interceptor;
    struct signing signing;
    struct traffic traffic;
    struct answerer answerer;
    struct network network;
    struct stray *strays;
    uv_poll_t listeners[POLICY_PORTS];
    bool is_full; /* nothing is accepted */
    bool is_ending;
    uv_timer_t pause, end;
};

/* ---- configuration ---- */

static int read_text(int fd, struct buffer *b, struct fault *f) {
    char piece[4096];
    ssize_t got;
    while ((got = read(fd, piece, sizeof piece)) != 0) {
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fault_errno(f, "cannot read the configuration");
        if (!buffer_add(b, piece, (size_t)got))
            return fault_set(f, 413, "the rules are longer than %d bytes",
                             CONFIG_MAX);
    }
    return 0;
}

static int read_config(struct airlock *a, struct fault *f) {
    struct buffer text;
    buffer_init(&text, CONFIG_MAX);
    json_t *config = NULL;
    if (read_text(CONFIG_FD, &text, f) == 0)
        config = json_parse(text.data, text.length, f);
    buffer_free(&text);
    if (!config)
        return -1;
    a->policy = policy_parse(config, "networking.", f);
    a->traffic.trace = json_is_true(json_object_get(config, "trace"));
    int rc = a->policy ? secrets_parse(&a->secrets,
                                       json_object_get(config, "secrets"),
                                       "secrets", f)
                       : -1;
    json_decref(config);
    return rc;
}

/* ---- accepting ---- */

static void on_connection(uv_poll_t *poll, int status, int events);

static void listen_to_all(struct airlock *a, bool on) {
    a->is_full = !on;
    for (size_t i = 0; i < a->network.listener_count; i++)
        if (on)
            uv_poll_start(&a->listeners[i], UV_READABLE, on_connection);
        else
            uv_poll_stop(&a->listeners[i]);
}

static void on_room(void *arg) {
    struct airlock *a = arg;
    if (a->is_full && !a->is_ending)
        listen_to_all(a, true);
}

static void on_pause_over(uv_timer_t *timer) {
    on_room(timer->data);
}

/* Without descriptors or memory the loop would try again and again. */
static void pause_accepting(struct airlock *a) {
    listen_to_all(a, false);
    uv_timer_start(&a->pause, on_pause_over, PAUSE_MS, 0);
}

static bool is_short_of_something(int error) {
    return error == EMFILE || error == ENFILE || error == ENOBUFS ||
           error == ENOMEM;
}

static void on_connection(uv_poll_t *poll, int status, int events) {
    struct airlock *a = poll->data;
    uv_os_fd_t fd;
    (void)status;
    (void)events;
    uv_fileno((uv_handle_t *)poll, &fd);
    for (int i = 0; i < ACCEPTED_AT_ONCE; i++) {
        if (a->traffic.undecided >= UNDECIDED_MAX) {
            listen_to_all(a, false);
            return;
        }
        int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (client < 0 && is_short_of_something(errno))
            pause_accepting(a);
        if (client < 0)
            return;
        connection_take(&a->traffic, client);
        if (turn_is_long(&a->loop))
            return;
    }
}

static int watch_listeners(struct airlock *a, struct fault *f) {
    for (size_t i = 0; i < a->network.listener_count; i++) {
        a->listeners[i].data = a;
        if (watch_open(&a->loop, &a->listeners[i], a->network.listeners[i], f) <
            0)
            return -1;
    }
    uv_timer_init(&a->loop, &a->pause);
    a->pause.data = a;
    listen_to_all(a, true);
    return 0;
}

/* ---- beginning and ending ---- */

/* The engine of a run that is over waits for what it was not told yet. Nothing
 * else is waited for: resolving may block a thread for long. */
static void on_end(uv_timer_t *timer) {
    struct airlock *a = timer->data;
    if (a->strays)
        stray_finish(a->strays);
    events_finish(a->traffic.events);
    _exit(0);
}

/* The engine is gone, or wants no network any more. What breaks off is not to
 * look as if it were complete, so connections are reset; their sockets close at
 * the end of this turn. */
static void on_engine_gone(void *arg) {
    struct airlock *a = arg;
    if (a->is_ending)
        return;
    a->is_ending = true;
    listen_to_all(a, false);
    connections_reset(&a->traffic);
    uv_timer_init(&a->loop, &a->end);
    a->end.data = a;
    uv_timer_start(&a->end, on_end, 0, 0);
}

/* A connection needs two sockets, and pipes while bytes are under way. */
static size_t share_descriptors(void) {
    struct rlimit l;
    const size_t wanted = OWN_DESCRIPTORS + CONNECTIONS_MAX * EACH_CONNECTION;
    if (getrlimit(RLIMIT_NOFILE, &l) < 0)
        return 1;
    l.rlim_cur = l.rlim_max < wanted ? l.rlim_max : wanted;
    setrlimit(RLIMIT_NOFILE, &l);
    size_t count = l.rlim_cur > OWN_DESCRIPTORS
                       ? (l.rlim_cur - OWN_DESCRIPTORS) / EACH_CONNECTION
                       : 1;
    return count < CONNECTIONS_MAX ? count : CONNECTIONS_MAX;
}

/* Only where it is needed: making keys takes some time, and the sandbox has to
 * trust a certificate. Before confine(): which servers are trusted is in files
 * that only the engine's user may be able to read. */
static int make_interceptor(struct airlock *a, struct fault *f) {
    struct interceptor *i = &a->interceptor;
    *i = (struct interceptor){
        .loop = &a->loop, .policy = a->policy, .secrets = &a->secrets};
    a->traffic.interceptor = i;
    if (a->secrets.count == 0 && !policy_reads_requests(a->policy))
        return 0;
    i->authority = authority_make(f);
    if (!i->authority)
        return -1;
    i->verifier = channel_verifier();
    return i->verifier ? 0 : fault_memory(f);
}

static int prepare(struct airlock *a, struct fault *f) {
    if (read_config(a, f) < 0 ||
        network_make(&a->network, NET_FD, a->policy, f) < 0 ||
        make_interceptor(a, f) < 0)
        return -1;
    close_fd(CONFIG_FD);
    close_fd(NET_FD);
    return confine(f);
}

static int start(struct airlock *a, struct fault *f) {
    struct traffic *t = &a->traffic;
    struct network *n = &a->network;
    int rc = uv_loop_init(&a->loop);
    if (rc < 0)
        return fault_set(f, 500, "cannot start: %s", uv_strerror(rc));
    turn_watch(&a->loop);
    t->names = names_make();
    if (!t->names)
        return fault_memory(f);
    t->resolver = resolver_open(&a->loop, f);
    if (!t->resolver)
        return -1;
    t->events = events_open(&a->loop, ENGINE_FD, on_engine_gone, a, f);
    if (!t->events)
        return -1;
    a->interceptor.events = t->events;
    a->interceptor.signing = &a->signing;
    signing_init(&a->signing, t->events);
    t->loop = t->farewells.loop = &a->loop;
    t->policy = a->policy;
    t->most = share_descriptors();
    t->room = on_room;
    t->arg = a;
    a->answerer = (struct answerer){.loop = &a->loop,
                                    .policy = a->policy,
                                    .names = t->names,
                                    .events = t->events};
    if (answerer_start(&a->answerer, n->dns_udp, n->dns_tcp, f) < 0)
        return -1;
    if (n->strays >= 0 &&
        !(a->strays = stray_start(&a->loop, n->strays, a->policy, t->names,
                                  t->events, f)))
        return -1;
    return watch_listeners(a, f);
}

int main(void) {
    static struct airlock a; /* lives as long as the program */
    struct fault f = {0};
    /* It was started from a descriptor: its name would be a number. */
    prctl(PR_SET_NAME, "contree-airlock");
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    if (fcntl(ENGINE_FD, F_GETFD) < 0) {
        fputs("contree-airlock is started by contree-engine\n", stderr);
        return 2;
    }
    for (int fd = CONFIG_FD; fd <= NET_FD; fd++)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
    if (prepare(&a, &f) < 0 || start(&a, &f) < 0) {
        events_failed(ENGINE_FD, &f);
        return 1;
    }
    events_ready(a.traffic.events, a.interceptor.authority
                                       ? authority_pem(a.interceptor.authority)
                                       : NULL);
    uv_run(&a.loop, UV_RUN_DEFAULT);
    return 1;
}
