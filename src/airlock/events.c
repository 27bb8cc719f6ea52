/* events.c: see events.h. */
#define _GNU_SOURCE
#include "airlock/events.h"
#include "airlock/policy/signature.h"
#include "base/buffer.h"
#include "base/fd.h"
#include "base/json.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
    PAUSE_MS = 100,
    FINISH_MS = 200,
    KEY_MAX = 8192,
    LINES_MAX = SIGNING_MAX * SIGNING_ASK_MAX,
    TELL_MAX = (EVENT_KEYS + 2) * KEY_MAX + LINES_MAX,
    ANSWER_MAX = 8 * SIGNATURE_MAX /* of one line: each byte may be escaped */
};

/* One key: the object as text, without its count. */
struct entry {
    char *key;
    size_t length;
    uint64_t untold;
};

struct events {
    uv_pipe_t pipe;
    uv_timer_t timer;
    uv_write_t request;
    char *writing; /* what the request writes; NULL: nothing */
    char piece[16384];
    struct buffer lines;   /* that are to be told as they are */
    struct buffer answers; /* of the engine; the last one may be incomplete */
    void (*answered)(void *arg, const json_t *answer);
    void *answered_arg;
    bool is_ready, ready_told;
    const char *certificate; /* that the sandbox has to trust, or NULL */
    struct entry list[EVENT_KEYS + 1]; /* the last one: "more" */
    size_t count;
    void (*gone)(void *arg);
    void *arg;
};

static void tell(struct events *e);

static void on_written(uv_write_t *request, int status) {
    struct events *e = request->data;
    free(e->writing);
    e->writing = NULL;
    if (status < 0)
        e->gone(e->arg);
    else if (e->lines.length > 0)
        tell(e);
}

static void on_time(uv_timer_t *timer) {
    tell(timer->data);
}

/* What is untold is told after this time. */
static void tell_in(struct events *e, uint64_t milliseconds) {
    if (!uv_is_active((uv_handle_t *)&e->timer) ||
        uv_timer_get_due_in(&e->timer) > milliseconds)
        uv_timer_start(&e->timer, on_time, milliseconds, 0);
}

static void add_entry(struct buffer *b, struct entry *entry) {
    if (entry->untold == 0)
        return;
    buffer_add(b, entry->key, entry->length);
    json_add_int(b, "count", (int64_t)entry->untold);
    json_close(b, '}');
    json_end(b);
    buffer_add(b, "\n", 1);
    entry->untold = 0;
}

static void add_ready(struct buffer *b, const char *certificate) {
    json_open(b, NULL, '{');
    json_add_string(b, "event", "ready");
    if (certificate)
        json_add_string(b, "certificate", certificate);
    json_close(b, '}');
    json_end(b);
    buffer_add(b, "\n", 1);
}

static void send_text(struct events *e, struct buffer *b) {
    size_t length = b->length;
    e->writing = buffer_take(b);
    if (!e->writing)
        return;
    uv_buf_t piece = uv_buf_init(e->writing, (unsigned)length);
    e->request.data = e;
    if (uv_write(&e->request, (uv_stream_t *)&e->pipe, &piece, 1, on_written) <
        0) {
        free(e->writing);
        e->writing = NULL;
    }
}

static void write_untold(struct events *e, struct buffer *b) {
    if (e->is_ready && !e->ready_told) {
        add_ready(b, e->certificate);
        e->ready_told = true;
    }
    for (size_t i = 0; i < e->count; i++)
        add_entry(b, &e->list[i]);
    if (e->lines.length > 0)
        buffer_add(b, e->lines.data, e->lines.length);
    e->lines.length = 0;
}

/* An engine that does not read holds up this, and nothing else. */
static void tell(struct events *e) {
    struct buffer b;
    if (e->writing) {
        tell_in(e, PAUSE_MS);
        return;
    }
    buffer_init(&b, TELL_MAX);
    write_untold(e, &b);
    if (b.length > 0)
        send_text(e, &b);
    buffer_free(&b);
}

static void add_text(struct buffer *b, const char *key, const char *text,
                     size_t length) {
    if (text)
        json_add_text(b, key, text, length < EVENT_TEXT ? length : EVENT_TEXT);
}

static void write_key(struct buffer *b, const char *event,
                      const struct occurrence *o, const char *reason) {
    char address[ADDRESS_TEXT];
    json_open(b, NULL, '{');
    json_add_string(b, "event", event);
    if (o->protocol)
        json_add_string(b, "protocol", o->protocol);
    add_text(b, "name", o->name, o->name ? strlen(o->name) : 0);
    if (o->address)
        json_add_string(b, "address", address_write(o->address, address));
    if (o->port)
        json_add_int(b, "port", o->port);
    add_text(b, "method", o->method, o->method ? strlen(o->method) : 0);
    add_text(b, "path", o->path, o->path_length);
    if (reason)
        json_add_string(b, "reason", reason);
}

/* Takes the key over. */
static void add_key(struct events *e, char *key, size_t length) {
    e->list[e->count++] = (struct entry){key, length, 1};
    tell_in(e, 0);
}

static void count_again(struct events *e, struct entry *entry) {
    entry->untold++;
    tell_in(e, PAUSE_MS);
}

static void count_as_more(struct events *e) {
    static const char more[] = "{\"event\":\"refused\",\"reason\":\"more\",";
    char *key;
    if (e->count > EVENT_KEYS)
        count_again(e, &e->list[EVENT_KEYS]);
    else if ((key = strdup(more)))
        add_key(e, key, sizeof more - 1);
}

static void count(struct events *e, const char *event,
                  const struct occurrence *o, const char *reason) {
    struct buffer b;
    buffer_init(&b, KEY_MAX);
    write_key(&b, event, o, reason);
    size_t length = b.length;
    char *key = buffer_take(&b);
    if (!key)
        return;
    for (size_t i = 0; i < e->count; i++)
        if (e->list[i].length == length &&
            memcmp(e->list[i].key, key, length) == 0) {
            free(key);
            count_again(e, &e->list[i]);
            return;
        }
    if (e->count < EVENT_KEYS) {
        add_key(e, key, length);
        return;
    }
    free(key);
    count_as_more(e);
}

void events_refused(struct events *e, const struct occurrence *o,
                    enum refusal why) {
    count(e, "refused", o, refusal_name(why));
}

void events_connected(struct events *e, const struct occurrence *o) {
    count(e, "connected", o, NULL);
}

void events_say(struct events *e, const struct buffer *line) {
    if (buffer_add(&e->lines, line->data, line->length) &&
        buffer_add(&e->lines, "\n", 1))
        tell_in(e, 0);
}

void events_on_answer(struct events *e,
                      void (*answered)(void *arg, const json_t *answer),
                      void *arg) {
    e->answered = answered;
    e->answered_arg = arg;
}

void events_ready(struct events *e, const char *certificate) {
    e->certificate = certificate;
    e->is_ready = true;
    tell(e);
}

/* What libuv has not written yet of the last text. */
static void write_rest(struct events *e, struct buffer *b) {
    size_t rest = uv_stream_get_write_queue_size((uv_stream_t *)&e->pipe);
    size_t length = strlen(e->writing);
    if (rest <= length)
        buffer_add(b, e->writing + length - rest, rest);
}

void events_finish(struct events *e) {
    struct buffer b;
    uv_os_fd_t fd;
    size_t at = 0;
    buffer_init(&b, 2 * TELL_MAX);
    e->lines.length = 0; /* nobody answers any more */
    if (e->writing)
        write_rest(e, &b);
    write_untold(e, &b);
    if (uv_fileno((uv_handle_t *)&e->pipe, &fd) < 0)
        b.length = 0;
    while (at < b.length) {
        ssize_t n = send(fd, b.data + at, b.length - at, MSG_NOSIGNAL);
        struct pollfd room = {.fd = fd, .events = POLLOUT};
        if (n > 0)
            at += (size_t)n;
        else if (errno != EAGAIN || poll(&room, 1, FINISH_MS) <= 0)
            break;
    }
    buffer_free(&b);
}

void events_failed(int fd, const struct fault *why) {
    struct buffer b;
    buffer_init(&b, KEY_MAX);
    json_open(&b, NULL, '{');
    json_add_string(&b, "event", "failed");
    json_add_string(&b, "message", why->message);
    json_add_int(&b, "status", why->status);
    json_close(&b, '}');
    json_end(&b);
    buffer_add(&b, "\n", 1);
    if (b.failed || write_all(fd, b.data, b.length) < 0)
        fprintf(stderr, "contree-airlock: %s\n", why->message);
    buffer_free(&b);
}

static void give_room(uv_handle_t *handle, size_t size, uv_buf_t *buffer) {
    struct events *e = handle->data;
    (void)size;
    *buffer = uv_buf_init(e->piece, sizeof e->piece);
}

static void take_answer(struct events *e, const char *line, size_t length) {
    json_t *answer = json_loadb(line, length, JSON_REJECT_DUPLICATES, NULL);
    if (answer && e->answered)
        e->answered(e->answered_arg, answer);
    json_decref(answer);
}

static void take_answers(struct events *e) {
    struct buffer *b = &e->answers;
    size_t at = 0;
    char *end;
    while ((end = memchr(b->data + at, '\n', b->length - at))) {
        size_t length = (size_t)(end - b->data) - at;
        take_answer(e, b->data + at, length);
        at += length + 1;
    }
    memmove(b->data, b->data + at, b->length - at);
    explicit_bzero(b->data + b->length - at, at);
    b->length -= at;
}

/* What the engine says are answers; that it is there matters in any case. */
static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer) {
    struct events *e = stream->data;
    bool ok = got >= 0;
    if (got > 0) {
        ok = buffer_add(&e->answers, buffer->base, (size_t)got);
        explicit_bzero(buffer->base, (size_t)got);
    }
    if (ok && got > 0)
        take_answers(e);
    if (ok)
        return;
    uv_read_stop(stream);
    e->gone(e->arg);
}

struct events *events_open(uv_loop_t *loop, int fd, void (*gone)(void *arg),
                           void *arg, struct fault *f) {
    struct events *e = calloc(1, sizeof *e);
    if (!e) {
        fault_memory(f);
        return NULL;
    }
    e->gone = gone;
    e->arg = arg;
    buffer_init(&e->lines, LINES_MAX);
    buffer_init(&e->answers, ANSWER_MAX + sizeof e->piece);
    uv_timer_init(loop, &e->timer);
    uv_pipe_init(loop, &e->pipe, 0);
    e->timer.data = e->pipe.data = e;
    int rc = uv_pipe_open(&e->pipe, fd);
    if (rc == 0)
        rc = uv_read_start((uv_stream_t *)&e->pipe, give_room, on_read);
    if (rc == 0)
        return e;
    /* The program ends, and with it the handles. */
    fault_set(f, 500, "cannot listen to the engine: %s", uv_strerror(rc));
    return NULL;
}
