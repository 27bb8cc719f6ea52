/* airlock.c: whatever an airlock says that somebody has taken over, and in
 * whatever pieces, the engine tells of it what the API has: entries with texts
 * in bounds, whole frames for whoever signs, one beginning and one end. The
 * first byte says how many bytes come at a time. */
#define _GNU_SOURCE
#include "../input.h"
#include "airlock/policy/signature.h"
#include "base/json.h"
#include "operation/egress_reports.h"
#include "operation/internal.h"
#include "operation/signing.h"
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

static bool killed; /* the airlock of this input */

/* There is no process, and no loop. */
#define uv_process_kill(process, signal) ((void)(killed = true))
#define uv_poll_start(poll, events, callback)                                  \
    ((void)(poll), (void)(events), (void)(callback))
#define uv_poll_stop(poll) ((void)(poll))
#define uv_timer_start(timer, callback, first, again)                          \
    ((void)(timer), (void)(callback), (void)(first), (void)(again))
#define uv_timer_stop(timer) ((void)(timer))
#define uv_close(handle, callback) (callback)(handle)
#define watch_close(poll, callback) (callback)((uv_handle_t *)(poll))
#include "../../src/engine/sandbox/airlock.c"

enum { TEXT = 256, LOG = 4 << 20 };

static const char uuid[] = "01a209c8-7de6-709f-b1ff-58ce37160283";

/* What was told of an airlock. */
struct told {
    struct operation op;
    struct buffer reports;
    bool connected, certified, ended;
};

/* ---- callbacks ---- */

static void on_connected(void *arg, const struct fault *why) {
    struct told *t = arg;
    HOLDS(!t->connected && !t->ended);
    HOLDS(!why || why->status == 503);
    t->connected = true;
}

static void on_certified(void *arg, const char *pem) {
    struct told *t = arg;
    HOLDS(!t->connected && !t->ended && pem);
    t->certified = true;
}

static void on_told(void *arg, const json_t *report) {
    struct told *t = arg;
    char *text = json_dumps(report, JSON_COMPACT);
    HOLDS(!t->ended && text);
    HOLDS(json_is_string(json_object_get(report, "event")));
    buffer_addf(&t->reports, "%s\n", text);
    free(text);
    signing_take(&t->op, report);
    egress_report(&t->op, report);
}

static void on_ended(void *arg, bool lost) {
    struct told *t = arg;
    HOLDS(lost && t->connected && !t->ended);
    t->ended = true;
}

static const struct airlock_callbacks callbacks = {on_connected, on_told,
                                                   on_ended, on_certified};

/* ---- what the API tells of it ---- */

/* An entry of §5.10: `denied` or `tried`. */
static void check_entry(const json_t *entry) {
    static const char known[] = " protocol name address method path reason "
                                "call program missing read written ";
    const char *name;
    json_t *value;
    HOLDS(json_is_object(entry));
    json_object_foreach((json_t *)entry, name, value) {
        json_int_t number = json_integer_value(value);
        char member[64];
        snprintf(member, sizeof member, " %s ", name);
        if (strcmp(name, "port") == 0)
            HOLDS(json_is_integer(value) && number >= 0 && number <= 65535);
        else if (strcmp(name, "count") == 0)
            HOLDS(number >= 1 && number < 2 * EGRESS_COUNT_MAX);
        else
            HOLDS(strstr(known, member) && json_is_string(value) &&
                  json_string_length(value) <= TEXT);
    }
    HOLDS(json_object_get(entry, "count"));
}

static void check_log(struct event_log *log) {
    struct event_reader *r = event_reader_new(log, -1, true);
    struct event_line line;
    HOLDS(r && !event_log_fault(log));
    while (event_next(r, &line) == EVENT_LINE) {
        json_t *event = json_loadb(line.text, line.length, 0, NULL);
        HOLDS(event && (event_is(&line, "denied") || event_is(&line, "tried")));
        check_entry(json_object_get(event, "data"));
        json_decref(event);
    }
    event_reader_free(r);
}

static void check_list(const json_t *list, size_t most) {
    struct buffer b;
    buffer_init(&b, LOG);
    egress_write(&b, NULL, list);
    json_end(&b);
    json_t *array = json_loadb(b.data, b.length, 0, NULL);
    HOLDS(json_is_array(array) && json_array_size(array) <= most);
    for (size_t i = 0; i < json_array_size(array); i++)
        check_entry(json_array_get(array, i));
    json_decref(array);
    buffer_free(&b);
}

/* Each frame is one of the stream, with the three members in one line. */
static void check_frames(struct signing_reader *r) {
    static const char head[] = "event: sign\ndata: ";
    const char *at = r->text.data ? r->text.data : "",
               *end = at + r->text.length;
    while (at < end) {
        const char *line = at + strlen(head);
        const char *next = memmem(at, (size_t)(end - at), "\n\n", 2);
        HOLDS(next && next > line && memcmp(at, head, strlen(head)) == 0);
        json_t *asked = json_loadb(line, (size_t)(next - line), 0, NULL);
        HOLDS(json_object_size(asked) == 3 &&
              json_is_integer(json_object_get(asked, "id")) &&
              json_is_object(json_object_get(asked, "request")));
        json_decref(asked);
        at = next + 2;
    }
}

static void on_news(struct signing_reader *r) {
    (void)r;
}

static void check_signing(struct operation *op) {
    struct signing_reader early = {.news = on_news}, late = early;
    struct fault f;
    HOLDS(signing_follow(op, &early, &f) == 0);
    check_frames(&early);
    HOLDS(signing_follow(op, &late, &f) == 0 && !early.op);
    HOLDS(late.text.length == early.text.length);
    signing_end(op);
    HOLDS(!late.op);
    buffer_free(&early.text);
    buffer_free(&late.text);
}

/* ---- one airlock ---- */

static void say(struct airlock *a, int to, const char *text, size_t length,
                size_t piece) {
    while (length > 0 && a->reading) {
        size_t n = piece && piece < length ? piece : length;
        n = n < PIECE_BYTES ? n : PIECE_BYTES;
        HOLDS(send(to, text, n, 0) == (ssize_t)n);
        on_reports(&a->poll, 0, UV_READABLE);
        text += n;
        length -= n;
    }
}

/* It ends whatever it has said. */
static void live(struct told *t, const char *text, size_t length,
                 size_t piece) {
    struct airlock *a = calloc(1, sizeof *a);
    int pair[2];
    HOLDS(a && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    *a = (struct airlock){.on = callbacks,
                          .arg = t,
                          .reports = pair[0],
                          .open_handles = 4,
                          .reading = true};
    a->poll.data = a->timer.data = a->rest.data = a->process.data = a;
    killed = false;
    say(a, pair[1], text, length, piece);
    close(pair[1]);
    HOLDS(!killed || !a->reading);
    bool reading = a->reading;
    on_exit_of_airlock(&a->process, 0, killed ? 9 : 0);
    if (reading)
        on_rested(&a->rest);
    HOLDS(t->ended);
}

static void begin(struct told *t) {
    *t = (struct told){.op.run.rules.signs = true,
                       .op.log = event_log_new(-1, uuid)};
    HOLDS(t->op.log);
    buffer_init(&t->reports, LOG);
}

static void end(struct told *t) {
    egress_end(&t->op);
    check_log(t->op.log);
    check_list(t->op.result.egress.denied, EGRESS_DENIED_MAX);
    check_list(t->op.result.egress.tried, EGRESS_TRIED_MAX);
    check_signing(&t->op);
    egress_clear(&t->op.result.egress);
    egress_free(&t->op);
    signing_free(&t->op);
    event_log_unref(t->op.log);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input in = {data, size};
    struct told one, other;
    int before = open_descriptors();
    size_t piece = 1 + input_byte(&in), length;
    char *text = input_rest(&in, &length);
    begin(&one);
    begin(&other);
    live(&one, text, length, piece);
    live(&other, text, length, 0);
    HOLDS(one.reports.length == other.reports.length &&
          one.certified == other.certified);
    HOLDS(one.reports.length == 0 ||
          memcmp(one.reports.data, other.reports.data, one.reports.length) ==
              0);
    buffer_free(&one.reports);
    buffer_free(&other.reports);
    end(&one);
    end(&other);
    free(text);
    HOLDS(open_descriptors() == before);
    return 0;
}
