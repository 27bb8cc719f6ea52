/* dial.c: see dial.h. */
#define _GNU_SOURCE
#include "airlock/dial.h"
#include "base/descriptor.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* An address that does not answer holds up the next one only so long. */
enum { ATTEMPT_MS = 2000 };

struct dial {
    uv_timer_t timer;
    uv_poll_t poll; /* of the attempt, while fd >= 0 */
    int fd;
    bool connected; /* this attempt has succeeded */
    bool over;      /* nothing is called any more */
    int open_handles;
    const struct policy *policy;
    struct target target;
    struct resolution *resolution;
    struct address list[ADDRESSES_MAX];
    size_t count, next;
    int port;
    enum refusal why; /* what the last failure was */
    void (*done)(void *arg, int fd, const struct address *to, enum refusal why);
    void *arg;
};

static void attempt(struct dial *d);

static void on_timer_closed(uv_handle_t *handle) {
    struct dial *d = handle->data;
    if (--d->open_handles == 0)
        free(d);
}

static void end(struct dial *d) {
    d->over = true;
    resolution_cancel(d->resolution);
    uv_close((uv_handle_t *)&d->timer, on_timer_closed);
}

static void on_failed(uv_timer_t *timer) {
    struct dial *d = timer->data;
    end(d);
    d->done(d->arg, -1, NULL, d->why);
}

/* From the loop, whoever calls this. */
static void fail_soon(struct dial *d) {
    uv_timer_start(&d->timer, on_failed, 0, 0);
}

/* An attempt has ended, in one way or the other. */
static void on_poll_closed(uv_handle_t *handle) {
    struct dial *d = handle->data;
    int fd = steal_fd(&d->fd);
    d->open_handles--;
    if (d->connected && !d->over) {
        end(d);
        d->done(d->arg, fd, &d->list[d->next - 1], REFUSED_NOT);
        return;
    }
    close_fd(fd);
    if (!d->over)
        attempt(d);
    else if (d->open_handles == 0)
        free(d);
}

static void end_attempt(struct dial *d) {
    if (uv_is_closing((uv_handle_t *)&d->poll))
        return;
    uv_timer_stop(&d->timer);
    watch_close(&d->poll, on_poll_closed);
}

static void on_attempt_too_long(uv_timer_t *timer) {
    struct dial *d = timer->data;
    d->why = REFUSED_UNREACHABLE;
    end_attempt(d);
}

static void on_writable(uv_poll_t *poll, int status, int events) {
    struct dial *d = poll->data;
    int error = 0;
    socklen_t size = sizeof error;
    (void)events;
    getsockopt(d->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    d->connected = status == 0 && error == 0;
    if (!d->connected)
        d->why = REFUSED_UNREACHABLE;
    end_attempt(d);
}

static int open_connection(const struct address *to, int port) {
    struct sockaddr_storage sa;
    address_to_socket(to, port, &sa);
    int fd CLEANUP(cleanup_close) =
        socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    socklen_t size = sa.ss_family == AF_INET ? sizeof(struct sockaddr_in)
                                             : sizeof(struct sockaddr_in6);
    if (fd < 0 ||
        (connect(fd, (struct sockaddr *)&sa, size) < 0 && errno != EINPROGRESS))
        return -1;
    return steal_fd(&fd);
}

/* Begin with the next address that can be tried. */
static void attempt(struct dial *d) {
    while (d->next < d->count) {
        d->fd = open_connection(&d->list[d->next++], d->port);
        if (d->fd >= 0 && watch_open(d->timer.loop, &d->poll, d->fd, NULL) < 0)
            drop_fd(&d->fd);
        if (d->fd < 0) {
            d->why = REFUSED_UNREACHABLE;
            continue;
        }
        d->open_handles++;
        d->poll.data = d;
        uv_poll_start(&d->poll, UV_WRITABLE, on_writable);
        if (d->next < d->count)
            uv_timer_start(&d->timer, on_attempt_too_long, ATTEMPT_MS, 0);
        return;
    }
    fail_soon(d);
}

static void on_resolved(void *arg, const struct address *list, size_t count) {
    struct dial *d = arg;
    d->resolution = NULL;
    d->why = REFUSED_UNRESOLVED;
    for (size_t i = 0; i < count; i++) {
        enum refusal why = policy_resolved(d->policy, &d->target, &list[i]);
        if (why == REFUSED_NOT)
            d->list[d->count++] = list[i];
        else
            d->why = why;
    }
    attempt(d);
}

/* Whoever says where a name is may have denied that address, too. */
static bool is_denied(struct dial *d) {
    bool denied =
        d->target.name &&
        policy_resolved(d->policy, &d->target, &d->list[0]) == REFUSED_RULE;
    if (denied)
        d->why = REFUSED_RULE;
    return denied;
}

static void find_addresses(struct dial *d, struct resolver *r) {
    d->port = d->target.port;
    d->count = 1;
    if (!d->target.name)
        d->list[0] = d->target.address;
    else if (!policy_pin(d->policy, d->target.name, &d->list[0], &d->port))
        d->count = 0;
    if (d->count == 0) {
        d->resolution = resolve(r, d->target.name, on_resolved, d);
        return;
    }
    if (is_denied(d))
        d->count = 0;
    attempt(d);
}

struct dial *dial_start(uv_loop_t *loop, struct resolver *r,
                        const struct policy *p, const struct target *t,
                        void (*done)(void *arg, int fd,
                                     const struct address *to,
                                     enum refusal why),
                        void *arg) {
    struct dial *d = calloc(1, sizeof *d);
    if (!d)
        return NULL;
    *d = (struct dial){.fd = -1,
                       .open_handles = 1,
                       .policy = p,
                       .target = *t,
                       .done = done,
                       .arg = arg};
    uv_timer_init(loop, &d->timer);
    d->timer.data = d;
    find_addresses(d, r);
    return d;
}

void dial_cancel(struct dial *d) {
    if (!d || d->over)
        return;
    end(d);
    if (d->fd >= 0)
        end_attempt(d);
}
