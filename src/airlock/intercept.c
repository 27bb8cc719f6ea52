/* intercept.c: see intercept.h. */
#define _GNU_SOURCE
#include "airlock/intercept.h"
#include "airlock/channel.h"
#include "airlock/http.h"
#include "airlock/policy/signature.h"
#include "airlock/reply.h"
#include "base/descriptor.h"
#include "base/relay.h"
#include "base/turn.h"
#include <stdlib.h>
#include <string.h>

enum {
    PIECE = 16 << 10,
    /* More is not read while so much waits to be written. */
    QUEUED = 64 << 10,
    QUEUE_MAX = 2 << 20,
    LINGER_MS = 1000
};

/* What goes one way. */
struct queue {
    struct buffer bytes;
    bool ended; /* no more comes */
    bool told;  /* the other side knows */
};

enum { CLIENT, UPSTREAM, SIDES };

struct intercepted {
    const struct interceptor *shared;
    struct target target;
    char name[NAME_SIZE];
    bool tls;
    int fds[SIDES]; /* until a channel has them */
    struct channel *channels[SIDES];
    bool shaken[SIDES];
    int reads[SIDES], writes[SIDES]; /* what either waits for */
    struct queue from[SIDES];
    struct http *http;
    struct signing_wait wait; /* no request is taken meanwhile */
    struct reply *reply;      /* NULL: there are no secrets to take out */
    bool refused;             /* only the refusal is still written */
    bool closing, reset;
    uv_poll_t polls[SIDES];
    uv_timer_t timer, again;
    int open_handles;
    void (*ended)(void *arg);
    void *arg;
};

/* ---- ending ---- */

static void free_all(struct intercepted *x) {
    for (int side = 0; side < SIDES; side++) {
        if (x->channels[side])
            (x->reset ? channel_reset : channel_free)(x->channels[side]);
        close_with_reset(&x->fds[side]);
        buffer_free(&x->from[side].bytes);
    }
    http_free(x->http);
    reply_free(x->reply);
    x->ended(x->arg);
    free(x);
}

static void on_closed(uv_handle_t *handle) {
    struct intercepted *x = handle->data;
    if (--x->open_handles == 0)
        free_all(x);
}

static void end(struct intercepted *x, bool reset) {
    if (x->closing)
        return;
    x->closing = true;
    x->reset = reset;
    signing_cancel(&x->wait);
    for (int side = 0; side < SIDES; side++)
        watch_close(&x->polls[side], on_closed);
    uv_close((uv_handle_t *)&x->timer, on_closed);
    uv_close((uv_handle_t *)&x->again, on_closed);
}

static struct occurrence describe(const struct intercepted *x,
                                  const char *protocol) {
    return (struct occurrence){
        .protocol = protocol, .name = x->target.name, .port = x->target.port};
}

/* ---- requests ---- */

static void refuse_request(struct intercepted *x) {
    struct http_refusal r = http_refusal(x->http);
    struct occurrence o = describe(x, "http");
    struct queue *answer = &x->from[UPSTREAM];
    o.method = r.method;
    o.path = r.path;
    o.path_length = r.path_length;
    events_refused(x->shared->events, &o, r.why);
    /* The server is not heard any more: its answer would not fit. */
    x->refused = true;
    answer->ended = true;
    x->from[CLIENT].bytes.length = 0;
    x->from[CLIENT].ended = true;
    http_write_refusal(x->http, &answer->bytes);
    uv_timer_start(&x->timer, x->timer.timer_cb, LINGER_MS, 0);
}

static void have_signed(struct intercepted *x) {
    uv_timer_start(&x->timer, x->timer.timer_cb, SIGNING_MS, 0);
    x->wait.http = x->http;
    x->wait.scheme = x->tls ? "https" : "http";
    x->wait.arg = x;
    signing_begin(x->shared->signing, &x->wait);
}

/* -1: it is over. */
static int follow(struct intercepted *x, enum http_state state) {
    switch (state) {
    case HTTP_GOES_ON:
        return 0;
    case HTTP_SIGNS:
        have_signed(x);
        return 0;
    case HTTP_REFUSED:
        refuse_request(x);
        return 0;
    case HTTP_NOT:
        break;
    }
    struct occurrence o = describe(x, x->tls ? "tls" : "tcp");
    events_refused(x->shared->events, &o, REFUSED_PROTOCOL);
    return -1;
}

static int take_request(struct intercepted *x, const char *data,
                        size_t length) {
    return follow(x, http_take(x->http, data, length, &x->from[CLIENT].bytes));
}

/* ---- answers ---- */

static bool answers_head(void *arg) {
    struct intercepted *x = arg;
    return http_answers_head(x->http);
}

/* Of length 0: there are no more. */
static int take_answer(struct intercepted *x, const char *data, size_t length) {
    struct buffer *out = &x->from[UPSTREAM].bytes;
    if (x->reply)
        return reply_take(x->reply, data, length, out);
    return length == 0 || buffer_add(out, data, length) ? 0 : -1;
}

/* ---- moving bytes ---- */

/* -1: it is over. */
static int shake(struct intercepted *x, int side) {
    if (x->shaken[side])
        return 0;
    int rc = channel_handshake(x->channels[side]);
    x->shaken[side] = rc == 1;
    x->reads[side] = x->writes[side] = 0;
    if (rc == CHANNEL_WAITS)
        x->reads[side] = channel_awaits(x->channels[side]);
    if (rc != CHANNEL_BROKEN)
        return 0;
    struct occurrence o = describe(x, "tls");
    events_refused(x->shared->events, &o,
                   side == CLIENT ? REFUSED_DISTRUSTED : REFUSED_CERTIFICATE);
    return -1;
}

/* 1: bytes came; 0: none can now; -1: broken. */
static int fill(struct intercepted *x, int side) {
    struct queue *q = &x->from[side];
    char piece[PIECE];
    x->reads[side] = 0;
    if (q->ended || q->bytes.length >= QUEUED ||
        (side == CLIENT && x->wait.signing))
        return 0;
    ssize_t n = channel_read(x->channels[side], piece, sizeof piece);
    if (n == CHANNEL_WAITS)
        x->reads[side] = channel_awaits(x->channels[side]);
    if (n < 0)
        return n == CHANNEL_WAITS ? 0 : -1;
    if (n == 0) {
        q->ended = true;
        return side == UPSTREAM && take_answer(x, NULL, 0) < 0 ? -1 : 1;
    }
    int rc = side == CLIENT ? take_request(x, piece, (size_t)n)
                            : take_answer(x, piece, (size_t)n);
    explicit_bzero(piece, (size_t)n);
    return rc < 0 ? -1 : 1;
}

static int drain(struct intercepted *x, int side) {
    struct queue *q = &x->from[side];
    struct channel *to = x->channels[!side];
    size_t size = q->bytes.length;
    x->writes[!side] = 0;
    if (size == 0)
        return 0;
    ssize_t n = channel_write(to, q->bytes.data, size);
    if (n == CHANNEL_WAITS)
        x->writes[!side] = channel_awaits(to);
    if (n < 0)
        return n == CHANNEL_WAITS ? 0 : -1;
    q->bytes.length -= (size_t)n;
    memmove(q->bytes.data, q->bytes.data + n, q->bytes.length);
    return n > 0;
}

static void pass_on_end(struct intercepted *x, int side) {
    struct queue *q = &x->from[side];
    if (!q->ended || q->told || q->bytes.length > 0)
        return;
    q->told = true;
    channel_finish(x->channels[!side]);
}

/* 1: something happened; 0: nothing can now; -1: it is over. */
static int step(struct intercepted *x) {
    int moved = 0;
    if (shake(x, UPSTREAM) < 0)
        return -1;
    if (!x->shaken[UPSTREAM])
        return 0;
    if (shake(x, CLIENT) < 0)
        return -1;
    if (!x->shaken[CLIENT])
        return 0;
    for (int side = 0; side < SIDES; side++) {
        int filled = x->refused ? 0 : fill(x, side);
        int drained = filled < 0 ? -1 : drain(x, side);
        if (drained < 0)
            return -1;
        pass_on_end(x, side);
        moved += filled + drained;
    }
    return moved > 0;
}

/* Nothing that the client could still say would be answered. */
static bool is_done(const struct intercepted *x) {
    return x->from[UPSTREAM].told;
}

static void on_ready(uv_poll_t *poll, int status, int events);

/* A client that was refused is listened to until it hangs up, so that no reset
 * overtakes what it was told. */
static void watch(struct intercepted *x) {
    for (int side = 0; side < SIDES; side++) {
        int wanted = x->reads[side] | x->writes[side];
        if (wanted)
            uv_poll_start(&x->polls[side], wanted, on_ready);
        else
            uv_poll_stop(&x->polls[side]);
    }
}

static void on_again(uv_timer_t *timer);

static void go_on(struct intercepted *x) {
    int rc = 1;
    while (rc > 0 && !turn_is_long(x->shared->loop))
        rc = step(x);
    if (rc < 0) {
        end(x, true);
        return;
    }
    if (x->shaken[CLIENT] && !x->refused && !x->wait.signing)
        uv_timer_stop(&x->timer);
    if (is_done(x) && !x->refused)
        end(x, false);
    else
        watch(x);
    if (rc > 0 && !x->closing)
        uv_timer_start(&x->again, on_again, 0, 0);
}

static void on_again(uv_timer_t *timer) {
    struct intercepted *x = timer->data;
    if (!x->closing)
        go_on(x);
}

static void on_ready(uv_poll_t *poll, int status, int events) {
    struct intercepted *x = poll->data;
    (void)status; /* an error shows when the socket is used */
    (void)events;
    if (!x->closing)
        go_on(x);
}

static void on_signed(void *arg, const json_t *answer) {
    struct intercepted *x = arg;
    follow(x, http_sign(x->http, answer, &x->from[CLIENT].bytes));
    go_on(x);
}

static void on_time(uv_timer_t *timer) {
    struct intercepted *x = timer->data;
    struct occurrence o = describe(x, x->tls ? "tls" : "tcp");
    if (x->wait.signing) {
        signing_cancel(&x->wait);
        on_signed(x, NULL);
        return;
    }
    if (x->refused) {
        end(x, false);
        return;
    }
    events_refused(x->shared->events, &o,
                   x->shaken[UPSTREAM] ? REFUSED_LIMIT : REFUSED_UNREACHABLE);
    end(x, true);
}

/* ---- beginning ---- */

static struct channel *make_client(struct intercepted *x,
                                   const struct interception *i) {
    if (!x->tls)
        return channel_plain(i->client, i->said, i->said_length);
    SSL_CTX *server = authority_server(x->shared->authority, x->name);
    return server ? channel_server(i->client, server, i->said, i->said_length)
                  : NULL;
}

static struct channel *make_upstream(struct intercepted *x,
                                     const struct interception *i) {
    return x->tls ? channel_client(i->upstream, x->shared->verifier, x->name)
                  : channel_plain(i->upstream, NULL, 0);
}

static bool make_reply(struct intercepted *x) {
    if (x->shared->secrets->count == 0)
        return true;
    http_watch_answers(x->http);
    x->reply = reply_make(x->shared->secrets, answers_head, x);
    return x->reply != NULL;
}

static bool make_channels(struct intercepted *x, const struct interception *i) {
    x->channels[CLIENT] = make_client(x, i);
    if (x->channels[CLIENT])
        x->fds[CLIENT] = -1;
    x->channels[UPSTREAM] = make_upstream(x, i);
    if (x->channels[UPSTREAM])
        x->fds[UPSTREAM] = -1;
    x->http = http_make(x->shared->policy, &x->target);
    if (!x->http || !make_reply(x))
        return false;
    http_use_secrets(x->http, x->shared->secrets);
    return x->channels[CLIENT] && x->channels[UPSTREAM];
}

static bool watch_channels(struct intercepted *x) {
    for (int side = 0; side < SIDES; side++) {
        x->polls[side].data = x;
        if (watch_open(x->shared->loop, &x->polls[side],
                       channel_fd(x->channels[side]), NULL) < 0) {
            if (side > 0)
                watch_close(&x->polls[0], on_closed);
            return false;
        }
        x->open_handles++;
    }
    return true;
}

void intercept(const struct interceptor *shared, const struct interception *i,
               void (*ended)(void *arg), void *arg) {
    struct intercepted *x = calloc(1, sizeof *x);
    if (!x) {
        int client = i->client, upstream = i->upstream;
        close_with_reset(&client);
        close_with_reset(&upstream);
        ended(arg);
        return;
    }
    *x = (struct intercepted){.shared = shared,
                              .target = *i->target,
                              .tls = i->tls,
                              .fds = {i->client, i->upstream},
                              .wait = {.answered = on_signed},
                              .ended = ended,
                              .arg = arg};
    if (x->target.name) {
        snprintf(x->name, sizeof x->name, "%s", x->target.name);
        x->target.name = x->name;
    }
    for (int side = 0; side < SIDES; side++)
        buffer_init(&x->from[side].bytes, QUEUE_MAX);
    if (!make_channels(x, i) || !watch_channels(x)) {
        x->reset = true;
        if (x->open_handles == 0)
            free_all(x);
        return;
    }
    x->timer.data = x->again.data = x;
    uv_timer_init(shared->loop, &x->timer);
    uv_timer_init(shared->loop, &x->again);
    x->open_handles += 2;
    uv_timer_start(&x->timer, on_time, HANDSHAKES_MS, 0);
    go_on(x);
}
