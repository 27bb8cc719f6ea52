/* operations.c: /operations (http-api.md §4.9 to §4.12, §6). */
#include "api/api.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/turn.h"
#include "base/uuid.h"
#include "base/work.h"
#include "operation/result.h"
#include <stdlib.h>
#include <string.h>

enum {
    REPLY_MAX = 64 << 20,
    FRAME_MAX = 64 << 20,
    WRITE_HERE = 64 * 1024 /* bytes of metadata, on the loop */
};

static bool is_active(const char *status) {
    return strcmp(status, "PENDING") == 0 || strcmp(status, "ASSIGNED") == 0 ||
           strcmp(status, "EXECUTING") == 0;
}

/* ---- the JSON of an operation ---- */

static void write_image_size(struct buffer *b, const struct operation_row *o) {
    if (o->image_size >= 0)
        json_add_int(b, "image_size", o->image_size);
    else
        json_add_raw(b, "image_size", NULL, 0);
}

/* The members of an OperationSummary (http-api.md §5.9). */
static void write_summary(struct buffer *b, const struct operation_row *o) {
    int64_t end = o->finished ? o->finished : wall_microseconds();
    json_add_string(b, "uuid", o->uuid);
    json_add_string(b, "kind", o->kind);
    json_add_string(b, "status", o->status);
    json_add_string(b, "error", o->error);
    json_add_time(b, "created_at", o->created);
    json_add_number(b, "duration", (double)(end - o->created) / 1e6);
    write_image_size(b, o);
    json_add_number(b, "consumed_cpu", o->consumed_cpu);
    json_add_int(b, "consumed_memory", o->consumed_memory);
    json_add_optional(b, "image_uuid", o->image);
    json_add_optional(b, "result_image_uuid", o->result_image);
}

/* The stored request, with the result as one more member. */
static void write_metadata(struct buffer *b, const struct operation_row *o,
                           const struct result *result) {
    size_t length = o->metadata ? strlen(o->metadata) : 0;
    json_open(b, "metadata", '{');
    if (length > 2) {
        buffer_add(b, o->metadata + 1, length - 2);
        buffer_add(b, ",", 1);
    }
    if (result)
        result_write(b, "result", result, !is_active(o->status));
    else if (strcmp(o->kind, "instance") == 0)
        json_add_raw(b, "result", NULL, 0);
    json_close(b, '}');
}

static void write_operation(struct buffer *b, const struct operation_row *o,
                            const struct result *result) {
    bool success = strcmp(o->status, "SUCCESS") == 0;
    json_open(b, NULL, '{');
    write_summary(b, o);
    write_metadata(b, o, result);
    json_open(b, "result", '{');
    json_add_optional(b, "image", o->result_image);
    json_add_string(b, "tag", success ? o->tag : NULL);
    json_close(b, '}');
    json_close(b, '}');
}

/* ---- replying with it ---- */

/* A reply whose result comes from the log: here, or in a worker when the log
 * is in a file, or there is much to write. */
struct rendering {
    struct job job;
    struct request *request;
    int status;
    int spid; /* 0: the whole operation, else that process's result only */
    struct operation_row row;    /* owned copies */
    struct event_reader *reader; /* NULL: no result wanted */
    struct result result;
    struct buffer text;
    struct fault fault; /* status 0: none */
};

static void report_work(struct job *j) {
    struct rendering *p = (struct rendering *)j;
    if (p->reader && result_fold(p->reader, p->spid ? p->spid : 1, &p->result,
                                 &p->fault) < 0)
        return;
    if (p->spid && !p->result.started)
        fault_set(&p->fault, 404, "the operation has no process %d", p->spid);
    else if (p->spid)
        result_write(&p->text, NULL, &p->result, false);
    else
        write_operation(&p->text, &p->row, p->reader ? &p->result : NULL);
}

static void report_done(struct job *j) {
    struct rendering *p = (struct rendering *)j;
    if (p->fault.status)
        reply_fault(p->request, &p->fault);
    else
        reply_json(p->request, p->status, &p->text);
    buffer_free(&p->text);
    result_clear(&p->result);
    event_reader_free(p->reader);
    operation_row_clear(&p->row);
    free(p);
}

/* Takes over `row`, whose strings are owned. `log` NULL: no result. */
static void report(struct request *r, int status, int spid,
                   struct operation_row *row, struct event_log *log) {
    struct rendering *p = calloc(1, sizeof *p);
    if (p && log)
        p->reader = event_reader_new(log, -1, true);
    if (!p || (log && !p->reader)) {
        free(p);
        operation_row_clear(row);
        reply_memory(r);
        return;
    }
    p->request = r;
    p->status = status;
    p->spid = spid;
    p->row = *row;
    buffer_init(&p->text, REPLY_MAX);
    if ((log && event_log_in_file(log)) ||
        (row->metadata && strlen(row->metadata) > WRITE_HERE)) {
        job_start(&request_engine(r)->workers, &p->job, report_work,
                  report_done);
        return;
    }
    report_work(&p->job);
    report_done(&p->job);
}

static void copy_row(struct operation_row *out, const struct operation *op) {
    operation_row(op, out);
    out->error = out->error ? strdup(out->error) : NULL;
    out->metadata = out->metadata ? strdup(out->metadata) : NULL;
    out->tag = out->tag ? strdup(out->tag) : NULL;
}

void operation_reply(struct request *r, int status, struct operation *op) {
    struct operation_row row;
    copy_row(&row, op);
    report(r, status, 0, &row, operation_log(op));
}

/* One whose end could not be stored would be waited for forever. */
static void settle_lost(struct operation_row *row) {
    if (!is_active(row->status))
        return;
    free(row->error);
    row->error = strdup("the engine could not store how this operation ended");
    row->status = "FAILED";
    row->finished = row->created;
}

static int stored_row(struct request *r, const char *uuid,
                      struct operation_row *row, struct fault *f) {
    if (store_operation_get(request_engine(r)->store, uuid, row, f) < 0)
        return -1;
    settle_lost(row);
    return 0;
}

/* A log that ends without a completion is given one: whoever follows it would
 * look for it in vain. */
static void complete_log(struct event_log *log,
                         const struct operation_row *row) {
    if (!event_log_is_cut(log))
        return;
    struct buffer *b = event_begin(log, "completion", 0);
    json_add_string(b, "status", row->status);
    json_add_int(b, "duration_ms", (row->finished - row->created) / 1000);
    json_add_optional(b, "result_image_uuid", row->result_image);
    json_add_string(b, "error", row->error);
    event_end(log);
}

static struct event_log *stored_log(struct request *r,
                                    const struct operation_row *row,
                                    struct fault *f) {
    struct engine *e = request_engine(r);
    char *text;
    size_t length;
    if (store_operation_log(e->store, row->uuid, &text, &length, f) < 0)
        return NULL;
    struct event_log *log =
        event_log_load(e->dir_fd, row->uuid, text, length, f);
    if (log)
        complete_log(log, row);
    return log;
}

static void reply_stored(struct request *r, int status, int spid,
                         const char *uuid) {
    struct operation_row row;
    struct fault f;
    if (stored_row(r, uuid, &row, &f) < 0) {
        reply_fault(r, &f);
        return;
    }
    struct event_log *log = stored_log(r, &row, &f);
    if (!log) {
        operation_row_clear(&row);
        reply_fault(r, &f);
        return;
    }
    bool result = spid || strcmp(row.kind, "instance") == 0;
    report(r, status, spid, &row, result ? log : NULL);
    event_log_unref(log);
}

void operation_reply_stored(struct request *r, int status, const char *uuid) {
    reply_stored(r, status, 0, uuid);
}

void operation_get(struct request *r) {
    char uuid[UUID_SIZE];
    struct operation_row row;
    struct fault f;
    bool inflight;
    if (api_uuid(r, 0, "operation", uuid, &f) < 0 ||
        url_flag(request_url(r), "inflight", &inflight, &f) < 0) {
        reply_fault(r, &f);
        return;
    }
    struct operation *op = operation_find(request_engine(r)->operations, uuid);
    if (!op) {
        reply_stored(r, 200, 0, uuid);
        return;
    }
    copy_row(&row, op);
    report(r, 200, 0, &row, inflight ? operation_log(op) : NULL);
}

/* Here for its kinship: GET .../subprocesses/{spid}. */
void subprocess_get(struct request *r) {
    char uuid[UUID_SIZE];
    struct operation_row row;
    struct fault f;
    int64_t spid;
    if (api_uuid(r, 0, "operation", uuid, &f) < 0) {
        reply_fault(r, &f);
        return;
    }
    if (!parse_int(request_param(r, 1), &spid) || spid < 1 ||
        spid > INT32_MAX) {
        reply_error(r, 404, "no process \"%.40s\"", request_param(r, 1));
        return;
    }
    struct operation *op = operation_find(request_engine(r)->operations, uuid);
    if (!op) {
        reply_stored(r, 200, (int)spid, uuid);
        return;
    }
    copy_row(&row, op);
    report(r, 200, (int)spid, &row, operation_log(op));
}

void operation_delete(struct request *r) {
    char uuid[UUID_SIZE];
    struct operation_row row;
    struct fault f;
    if (api_uuid(r, 0, "operation", uuid, &f) < 0) {
        reply_fault(r, &f);
        return;
    }
    struct operation *op = operation_find(request_engine(r)->operations, uuid);
    if (op ? operation_cancel(op, &f) == 0
           : store_operation_get(request_engine(r)->store, uuid, &row, &f) ==
                 0) {
        if (!op) {
            operation_row_clear(&row);
            reply_error(r, 409, "operation is not cancellable");
        } else {
            reply_empty(r, 202);
        }
        return;
    }
    reply_fault(r, &f);
}

/* ---- the list ---- */

static void add_summary(struct buffer *b, const struct operation_row *o) {
    json_open(b, NULL, '{');
    write_summary(b, o);
    json_close(b, '}');
}

struct listing {
    struct operations *all;
    const struct operation_filter *filter;
    struct buffer text;
    int64_t skip, left;
};

/* The row of one that is active here is older than what is known here. */
static bool add_stored(void *arg, const struct operation_row *o) {
    struct listing *l = arg;
    struct operation_row row = *o;
    const struct operation *op =
        is_active(o->status) ? operation_find(l->all, o->uuid) : NULL;
    if (op)
        operation_row(op, &row);
    add_summary(&l->text, &row);
    return true;
}

static bool add_active(void *arg, struct operation *op) {
    struct listing *l = arg;
    const struct operation_filter *x = l->filter;
    struct operation_row row;
    operation_row(op, &row);
    if (strcmp(row.status, x->status) != 0 ||
        (x->kind && strcmp(row.kind, x->kind) != 0) ||
        (x->page.since && row.created < x->page.since) ||
        (x->page.until && row.created > x->page.until) || l->skip-- > 0)
        return true;
    add_summary(&l->text, &row);
    return --l->left > 0;
}

static int read_choice(struct request *r, const char *name,
                       const char *const *choices, const char **out,
                       struct fault *f) {
    *out = url_parameter(request_url(r), name);
    for (; *out && *choices; choices++)
        if (strcmp(*out, *choices) == 0)
            return 0;
    return *out
               ? fault_set(f, 400, "%s has no such value \"%.40s\"", name, *out)
               : 0;
}

static int read_list(struct request *r, struct operation_filter *out,
                     struct fault *f) {
    static const char *const statuses[] = {"PENDING", "ASSIGNED", "EXECUTING",
                                           "SUCCESS", "FAILED",   "CANCELLED",
                                           NULL};
    static const char *const kinds[] = {"instance", "image_import", NULL};
    if (api_page(r, &out->page, f) < 0 ||
        read_choice(r, "status", statuses, &out->status, f) < 0)
        return -1;
    return read_choice(r, "kind", kinds, &out->kind, f);
}

void operations_list(struct request *r) {
    struct engine *e = request_engine(r);
    struct operation_filter filter;
    struct fault f;
    struct listing l = {.all = e->operations, .filter = &filter};
    if (read_list(r, &filter, &f) < 0) {
        reply_fault(r, &f);
        return;
    }
    buffer_init(&l.text, REPLY_MAX);
    json_open(&l.text, NULL, '[');
    l.skip = filter.page.offset;
    l.left = filter.page.limit;
    if (filter.status && is_active(filter.status)) {
        /* Only what is here is active. */
        operations_visit(e->operations, add_active, &l);
    } else {
        operations_record(e->operations);
        if (store_operation_list(e->store, &filter, add_stored, &l, &f) < 0) {
            buffer_free(&l.text);
            reply_fault(r, &f);
            return;
        }
    }
    json_close(&l.text, ']');
    reply_json(r, 200, &l.text);
}

/* ---- events ---- */

struct follower {
    struct request *request;
    struct event_log *log;
    struct event_reader *reader;
    struct event_subscriber subscriber;
    int64_t spid;     /* -1: all */
    char without[16]; /* events of this type are left out */
    bool follow;
    struct buffer frame;
    size_t sent; /* of the frame */
};

static void make_frame(struct follower *w, const struct event_line *line) {
    w->frame.length = w->sent = 0;
    buffer_addf(&w->frame, "id: %lld\nevent: %.*s\ndata: ", (long long)line->id,
                (int)line->type_length, line->type);
    buffer_add(&w->frame, line->text, line->length);
    buffer_add(&w->frame, "\n\n", 2);
}

/* In-band: the status line is long gone (http-api.md §6.5). */
static void make_error_frame(struct follower *w) {
    w->frame.length = w->sent = 0;
    buffer_addf(&w->frame, "event: sse_error\ndata: the event log is damaged"
                           "\n\n");
}

static bool is_wanted(const struct follower *w, const struct event_line *line) {
    return (w->spid < 0 || line->spid == w->spid) &&
           !(*w->without && event_is(line, w->without));
}

/* The next frame; STREAM_WAIT, STREAM_LATER or STREAM_END when there is none.
 */
static int next_frame(struct follower *w) {
    struct event_line line;
    enum event_status status;
    while ((status = event_next(w->reader, &line)) == EVENT_LINE &&
           !is_wanted(w, &line))
        if (turn_is_long(request_engine(w->request)->loop))
            return STREAM_LATER;
    if (status == EVENT_LINE)
        make_frame(w, &line);
    else if (status == EVENT_BROKEN)
        make_error_frame(w);
    else
        return status == EVENT_END || !w->follow ? STREAM_END : STREAM_WAIT;
    w->follow = w->follow && status == EVENT_LINE;
    return w->frame.failed ? STREAM_CUT : 1;
}

static ssize_t follower_read(void *arg, char *out, size_t max) {
    struct follower *w = arg;
    size_t got = 0;
    while (got < max) {
        if (w->sent == w->frame.length) {
            int next = next_frame(w);
            if (next <= 0)
                return got ? (ssize_t)got : next;
        }
        size_t left = w->frame.length - w->sent;
        size_t n = left < max - got ? left : max - got;
        memcpy(out + got, w->frame.data + w->sent, n);
        w->sent += n;
        got += n;
    }
    return (ssize_t)got;
}

static void follower_close(void *arg) {
    struct follower *w = arg;
    event_unsubscribe(w->log, &w->subscriber);
    event_reader_free(w->reader);
    event_log_unref(w->log);
    buffer_free(&w->frame);
    free(w);
}

static void follower_wake(void *arg) {
    stream_wake(((struct follower *)arg)->request);
}

/* The cursor: the header wins over `since` (http-api.md §6.4). */
static int read_cursor(struct request *r, int64_t *after, struct fault *f) {
    const char *header = request_header(r, "Last-Event-Id");
    *after = -1;
    if (url_int(request_url(r), "since", -1, INT64_MAX, after, f) < 0)
        return -1;
    if (header && (!parse_int(header, after) || *after < -1))
        return fault_set(f, 400, "Last-Event-Id must be an integer");
    return 0;
}

/* The log of an active or stored operation; a reference of the caller's. */
static struct event_log *find_log(struct request *r, const char *uuid,
                                  struct fault *f) {
    struct operation_row row;
    struct operation *op = operation_find(request_engine(r)->operations, uuid);
    if (op)
        return event_log_ref(operation_log(op));
    if (stored_row(r, uuid, &row, f) < 0)
        return NULL;
    struct event_log *log = stored_log(r, &row, f);
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

/* A stream of an operation that waits in the queue is open and quiet: simpler
 * for everybody than 425 and asking again. */
void operation_events(struct request *r) {
    const struct url *u = request_url(r);
    char uuid[UUID_SIZE];
    int64_t after, spid = -1;
    bool follow;
    struct fault f;
    if (api_uuid(r, 0, "operation", uuid, &f) < 0 ||
        url_flag(u, "follow", &follow, &f) < 0 ||
        url_int(u, "spid", 0, INT32_MAX, &spid, &f) < 0 ||
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
    /* An extension (http-api.md §4.12): long input need not be read back. */
    const char *without = url_parameter(u, "without");
    snprintf(w->without, sizeof w->without, "%s", without ? without : "");
    w->spid = spid;
    w->follow = follow;
    reply_stream(r, "text/event-stream",
                 &(struct stream_source){follower_read, follower_close, w,
                                         ": keepalive\n\n"});
}
