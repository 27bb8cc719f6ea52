/* events.c: GET /operations/{uuid}/events (http-api.md §4.12, §6). */
#include "api/operations.h"
#include "api/plain.h"
#include "api/stored.h"
#include "base/turn.h"
#include <stdlib.h>
#include <string.h>

enum { FRAME_MAX = 64 << 20 };

/* An extension (http-api.md §6.6): records, in which streams are bytes, or
 * places in the spool. */
#define RECORDS_TYPE "application/vnd.contree.records"
#define SPOOLED_TYPE RECORDS_TYPE ";spool=1"

struct follower {
    struct request *request;
    struct event_log *log;
    struct event_reader *reader;
    struct event_subscriber subscriber;
    int64_t spid;    /* -1: all */
    int64_t hang_up; /* the process whose terminal goes with us; 0: none */
    char uuid[UUID_SIZE];
    char without[16]; /* events of this type are left out */
    bool follow;
    bool records; /* not text/event-stream */
    bool spooled; /* bytes that are in the spool need not be sent */
    bool named;   /* the client knows where the spool is */
    bool broken;  /* the error was told: this is the end */
    struct buffer frame;
    size_t sent;             /* of the frame */
    struct event_line bytes; /* behind the frame, from the spool */
    size_t bytes_sent;
};

/* Say where the spool is, before the first record that is in it. */
static void name_spool(struct follower *w) {
    struct buffer place;
    buffer_init(&place, 8192);
    if (event_name_spool(w->reader, &place)) {
        buffer_addf(&w->frame, "spool 0 0 %zu\n", place.length);
        buffer_add(&w->frame, place.data, place.length);
        w->named = true;
    }
    w->spooled = w->named;
    buffer_free(&place);
}

/* A line "TYPE ID SPID LENGTH", and then so many bytes; or also where they are
 * in the spool. */
static void make_record(struct follower *w, const struct event_line *line) {
    bool raw = line->raw_length > 0;
    bool placed = raw && w->spooled && event_is_output(line);
    if (placed && !w->named)
        name_spool(w);
    placed = placed && w->spooled;
    buffer_addf(&w->frame, "%.*s %lld %d %zu", raw ? (int)line->type_length : 5,
                raw ? line->type : "event", (long long)line->id, line->spid,
                raw ? line->raw_length : line->length);
    if (placed)
        buffer_addf(&w->frame, " %lld", (long long)line->raw_at);
    buffer_add(&w->frame, "\n", 1);
    if (!raw)
        buffer_add(&w->frame, line->text, line->length);
    else if (!placed)
        w->bytes = *line;
}

static void make_event(struct follower *w, const struct event_line *line) {
    buffer_addf(&w->frame, "id: %lld\nevent: %.*s\ndata: ", (long long)line->id,
                (int)line->type_length, line->type);
    buffer_add(&w->frame, line->text, line->length);
    buffer_add(&w->frame, "\n\n", 2);
}

/* An error is a frame: the status line was sent long ago (http-api.md §6.5). */
static void make_error(struct follower *w) {
    static const char why[] = "the event log is damaged";
    w->broken = true;
    if (w->records)
        buffer_addf(&w->frame, "error 0 0 %zu\n%s", strlen(why), why);
    else
        buffer_addf(&w->frame, "event: sse_error\ndata: %s\n\n", why);
}

static void make_frame(struct follower *w, struct event_line *line) {
    if (line->raw_length && !event_is_spooled(w->reader, line))
        make_error(w);
    else if (w->records)
        make_record(w, line);
    else if (event_expand(w->reader, line))
        make_event(w, line);
    else
        make_error(w);
}

static bool is_wanted(const struct follower *w, const struct event_line *line) {
    return (w->spid < 0 || line->spid == w->spid) &&
           !(*w->without && event_is(line, w->without));
}

/* Make the next frame: 1, or one of STREAM_WAIT and its like. */
static int next_frame(struct follower *w) {
    struct event_line line;
    enum event_status status;
    w->frame.length = w->sent = w->bytes.raw_length = w->bytes_sent = 0;
    if (w->broken)
        return STREAM_END;
    while ((status = event_next(w->reader, &line)) == EVENT_LINE &&
           !is_wanted(w, &line))
        if (turn_is_long(request_engine(w->request)->loop))
            return STREAM_LATER;
    if (status == EVENT_LINE)
        make_frame(w, &line);
    else if (status == EVENT_BROKEN)
        make_error(w);
    else
        return status == EVENT_END || !w->follow ? STREAM_END : STREAM_WAIT;
    return w->frame.failed ? STREAM_CUT : 1;
}

/* Write what is left of the frame, and then of the bytes behind it. -1: the
 * spool is damaged. */
static ssize_t send_frame(struct follower *w, char *out, size_t max) {
    size_t left = w->frame.length - w->sent;
    size_t n = left < max ? left : max;
    memcpy(out, w->frame.data + w->sent, n);
    w->sent += n;
    left = w->bytes.raw_length - w->bytes_sent;
    size_t more = left < max - n ? left : max - n;
    if (more && !event_raw(w->reader, &w->bytes, w->bytes_sent, out + n, more))
        return -1;
    w->bytes_sent += more;
    return (ssize_t)(n + more);
}

static ssize_t follower_read(void *arg, char *out, size_t max) {
    struct follower *w = arg;
    size_t got = 0;
    while (got < max) {
        if (w->sent == w->frame.length &&
            w->bytes_sent == w->bytes.raw_length) {
            int next = next_frame(w);
            if (next <= 0)
                return got ? (ssize_t)got : next;
        }
        ssize_t n = send_frame(w, out + got, max - got);
        if (n < 0)
            return STREAM_CUT;
        got += (size_t)n;
    }
    return (ssize_t)got;
}

/* The operation may have ended meanwhile. */
static void hang_up(const struct follower *w) {
    struct operation *op =
        operation_find(request_engine(w->request)->operations, w->uuid);
    struct fault f;
    if (op)
        operation_hang_up(op, (int)w->hang_up, &f);
}

static void follower_close(void *arg) {
    struct follower *w = arg;
    if (w->hang_up)
        hang_up(w);
    event_unsubscribe(w->log, &w->subscriber);
    event_reader_free(w->reader);
    event_log_unref(w->log);
    buffer_free(&w->frame);
    free(w);
}

static void follower_wake(void *arg) {
    stream_wake(((struct follower *)arg)->request);
}

/* Read the cursor; the header overrides `since` (http-api.md §6.4). */
static int read_cursor(struct request *r, int64_t *after, struct fault *f) {
    const char *header = request_header(r, "Last-Event-Id");
    *after = -1;
    if (url_int(request_url(r), "since", -1, INT64_MAX, after, f) < 0)
        return -1;
    if (header && (!parse_int(header, after) || *after < -1))
        return fault_set(f, 400, "Last-Event-Id must be an integer");
    return 0;
}

/* Get the log of an active or stored operation; the caller owns the reference.
 */
static struct event_log *find_log(struct request *r, const char *uuid,
                                  struct fault *f) {
    struct operation_row row;
    struct operation *op = operation_find(request_engine(r)->operations, uuid);
    if (op)
        return event_log_ref(operation_log(op));
    if (operation_stored(r, uuid, &row, f) < 0)
        return NULL;
    struct event_log *log = operation_stored_log(r, &row, f);
    operation_row_clear(&row);
    return log;
}

/* Takes over the log. */
static struct follower *follower_new(struct request *r, struct event_log *log,
                                     int64_t after) {
    struct follower *w = calloc(1, sizeof *w);
    if (w)
        w->reader = event_reader_new(log, after, false);
    if (!w || !w->reader) {
        free(w);
        event_log_unref(log);
        return NULL;
    }
    w->request = r;
    w->log = log;
    w->subscriber = (struct event_subscriber){follower_wake, w, NULL};
    buffer_init(&w->frame, FRAME_MAX);
    event_subscribe(log, &w->subscriber);
    return w;
}

/* The stream of an operation in the queue is open and silent. That is simpler
 * for clients than 425 and another try. */
void operation_events(struct request *r) {
    const struct url *u = request_url(r);
    char uuid[UUID_SIZE];
    int64_t after, spid = -1, with = 0;
    bool follow;
    struct fault f;
    if (api_uuid(r, 0, "operation", uuid, &f) < 0 ||
        url_flag(u, "follow", &follow, &f) < 0 ||
        url_int(u, "spid", 0, INT32_MAX, &spid, &f) < 0 ||
        (!api_is_plain(r) &&
         url_int(u, "hangup", 0, INT32_MAX, &with, &f) < 0) ||
        read_cursor(r, &after, &f) < 0) {
        reply_fault(r, &f);
        return;
    }
    struct event_log *log = find_log(r, uuid, &f);
    if (!log) {
        reply_fault(r, &f);
        return;
    }
    struct follower *w = follower_new(r, log, after);
    if (!w) {
        reply_memory(r);
        return;
    }
    /* An extension (http-api.md §4.12): a client need not read back its input.
     */
    const char *without = extension_parameter(r, "without");
    snprintf(w->without, sizeof w->without, "%s", without ? without : "");
    const char *accept = extension_header(r, "Accept");
    w->records = accept && strstr(accept, RECORDS_TYPE);
    w->spooled =
        w->records && request_is_local(r) && strstr(accept, SPOOLED_TYPE);
    w->spid = spid;
    w->hang_up = with;
    memcpy(w->uuid, uuid, sizeof w->uuid);
    w->follow = follow;
    reply_stream(
        r, w->records ? RECORDS_TYPE : "text/event-stream",
        &(struct stream_source){follower_read, follower_close, w,
                                w->records ? "\n" : ": keepalive\n\n"});
}
