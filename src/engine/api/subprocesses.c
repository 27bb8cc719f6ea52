/* subprocesses.c: further processes in a running sandbox (http-api.md §4.13
 * to §4.16), and the terminals of all (§4.30). */
#define _GNU_SOURCE
#include "api/active.h"
#include "api/api.h"
#include "api/named.h"
#include "api/plain.h"
#include "api/prefer.h"
#include "api/render.h"
#include "api/routes.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/descriptor.h"
#include "base/fault.h"
#include "base/uuid.h"
#include "operation/parse.h"
#include "operation/process.h"
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static int read_spid(struct request *r, int *out, struct fault *f) {
    int64_t spid;
    const char *text = request_param(r, 1);
    if (!parse_int(text, &spid) || spid < 1 || spid > INT32_MAX)
        return fault_set(f, 404, "no process \"%.40s\"", text);
    *out = (int)spid;
    return 0;
}

static void subprocess_get(struct request *r) {
    char uuid[UUID_SIZE];
    struct fault f;
    int spid;
    if (api_uuid(r, 0, "operation", uuid, &f) < 0 ||
        read_spid(r, &spid, &f) < 0) {
        reply_fault(r, &f);
        return;
    }
    struct operation *op = operation_find(request_engine(r)->operations, uuid);
    if (op)
        process_reply(r, op, spid);
    else
        process_reply_stored(r, uuid, spid);
}

/* ---- starting one ---- */

struct creation {
    struct spawn_waiter waiter;
    struct operation_waiter limit; /* of the wait for its end */
    struct request *request;
    struct operation *operation;
    bool terminal, waiting;
    double wait;   /* seconds for which its end is waited for; 0: not at all */
    int64_t since; /* the last event before it */
    int spid;
};

/* `result` NULL: it goes on, or its output is too long to be kept. */
static void reply_created(struct creation *c, const struct result *result) {
    struct request *r = c->request;
    struct buffer b;
    request_on_gone(r, NULL, NULL);
    buffer_init(&b, 4 << 20);
    json_open(&b, NULL, '{');
    json_add_int(&b, "spid", c->spid);
    if (!api_is_plain(r))
        json_add_int(&b, "since", c->since);
    if (c->terminal)
        json_add_bool(&b, "tty", true); /* so this server knows it */
    if (result)
        result_write(&b, "result", result, false, false);
    json_close(&b, '}');
    if (c->wait > 0)
        reply_header(r, "Preference-Applied", "wait");
    free(c);
    reply_json(r, 201, &b);
}

static void on_started(struct spawn_waiter *w, int spid,
                       const struct fault *why) {
    struct creation *c = (struct creation *)w;
    c->spid = spid;
    if (why) {
        struct request *r = c->request;
        free(c);
        request_on_gone(r, NULL, NULL);
        reply_fault(r, why);
    } else if (w->ended) {
        c->waiting = true;
        c->limit.deadline = monotonic_seconds() + c->wait;
        operation_wait(c->operation, &c->limit);
    } else {
        reply_created(c, NULL);
    }
}

static void on_ended(struct spawn_waiter *w, const struct result *result) {
    struct creation *c = (struct creation *)w;
    operation_unwait(c->operation, &c->limit);
    reply_created(c, result_is_whole(result) ? result : NULL);
}

static void on_limit(struct operation_waiter *w, struct operation *op,
                     bool ended) {
    struct creation *c =
        (struct creation *)((char *)w - offsetof(struct creation, limit));
    (void)ended;
    operation_forget_spawn(op, &c->waiter, false);
    reply_created(c, NULL);
}

/* A process whose end is waited for ends with the client, who knows no other
 * way to it. */
static void on_gone(void *arg) {
    struct creation *c = arg;
    if (c->waiting)
        operation_unwait(c->operation, &c->limit);
    operation_forget_spawn(c->operation, &c->waiter, c->wait > 0);
    free(c);
}

static void release_process(void *run) {
    run_process_clear(run);
    free(run);
}

static int subprocess_digest(struct request *r, struct fault *f) {
    struct run_process *run = calloc(1, sizeof *run);
    if (!run)
        return fault_memory(f);
    request_own(r, run, release_process);
    if (plain_check_run(r, f) < 0)
        return -1;
    return run_process_parse(request_json(r), request_engine(r)->ids, run, f);
}

static void subprocess_create(struct request *r) {
    struct fault f;
    struct operation *op = operation_find_active(r, &f);
    struct creation *c = op ? calloc(1, sizeof *c) : NULL;
    if (op && !c)
        fault_memory(&f);
    if (c) {
        struct run_process *run = request_state(r);
        *c = (struct creation){
            .waiter = {.started = on_started},
            .limit = {.done = on_limit},
            .request = r,
            .operation = op,
            .terminal = run->terminal.rows > 0,
            .wait = preferences_of(r).wait,
            .since = event_log_last(operation_log(op)),
        };
        if (c->wait > 0)
            c->waiter.ended = on_ended;
        if (operation_spawn(op, run, &c->waiter, &f) == 0) {
            request_on_gone(r, on_gone, c);
            return;
        }
    }
    free(c);
    reply_fault(r, &f);
}

/* ---- signals ---- */

/* "TERM", "SIGTERM" or "15". */
static int parse_signal(const char *text, int *out, struct fault *f) {
    int64_t number;
    if (!text || !*text) {
        *out = SIGKILL;
        return 0;
    }
    if (parse_int(text, &number) && number > 0 && number < NSIG) {
        *out = (int)number;
        return 0;
    }
    if (strncasecmp(text, "SIG", 3) == 0)
        text += 3;
    for (int i = 1; i < NSIG; i++) {
        const char *name = sigabbrev_np(i);
        if (name && strcasecmp(name, text) == 0) {
            *out = i;
            return 0;
        }
    }
    return fault_set(f, 400, "no signal \"%.20s\"", text);
}

static void subprocess_kill(struct request *r) {
    struct fault f;
    int spid, signal = SIGKILL;
    bool family = false; /* an extension */
    struct operation *op = operation_find_active(r, &f);
    if (!op || read_spid(r, &spid, &f) < 0 ||
        parse_signal(url_parameter(request_url(r), "signal"), &signal, &f) <
            0 ||
        (!api_is_plain(r) &&
         url_flag(request_url(r), "family", &family, &f) < 0) ||
        operation_signal(op, spid, signal, family, &f) < 0)
        reply_fault(r, &f);
    else
        reply_empty(r, 204);
}

/* ---- input ---- */

struct input {
    const void *data;
    char *decoded; /* `data` points into it if it came as JSON */
    size_t length;
    bool close;
};

static int read_json_input(struct request *r, struct input *in,
                           struct fault *f) {
    const char *value = NULL, *encoding = "ascii";
    struct fields fields;
    fields_init(&fields, request_json(r), "");
    in->close = true;
    field_string(&fields, "encoding", &encoding);
    field_bool(&fields, "close", &in->close);
    if (!field_string(&fields, "value", &value) && !fields.fault.status)
        field_refuse(&fields, "value", "is missing");
    if (!fields.fault.status &&
        !stream_decode(value, encoding, &in->decoded, &in->length))
        field_refuse(&fields, "value",
                     "is not what its encoding says: ascii, or base64 with "
                     "padding");
    in->data = in->decoded;
    if (!fields.fault.status)
        return 0;
    *f = fields.fault;
    return -1;
}

static void release_input(void *input) {
    free(((struct input *)input)->decoded);
    free(input);
}

/* An extension (http-api.md §4.16): bytes without JSON and base64. */
static int subprocess_stdin_digest(struct request *r, struct fault *f) {
    struct input *in = calloc(1, sizeof *in);
    if (!in)
        return fault_memory(f);
    request_own(r, in, release_input);
    in->data = request_bytes(r, &in->length);
    if (!in->data)
        return read_json_input(r, in, f);
    return url_flag(request_url(r), "close", &in->close, f);
}

static void subprocess_stdin(struct request *r) {
    struct fault f;
    const struct input *in = request_state(r);
    int spid;
    struct operation *op = operation_find_active(r, &f);
    if (!op || read_spid(r, &spid, &f) < 0 ||
        operation_write(op, spid, in->data, in->length, in->close, &f) < 0)
        reply_fault(r, &f);
    else
        reply_empty(r, 204);
}

/* ---- input as a stream ---- */

/* An extension (http-api.md §4.16): the body goes into the pipe as it comes.
 * The operation may end at any time, so it is found again for each piece. */
struct streaming {
    struct input_waiter waiter;
    struct request *request;
    char uuid[UUID_SIZE];
    int spid;
};

static void streaming_ready(struct input_waiter *w) {
    request_go_on(((struct streaming *)w)->request);
}

static void streaming_release(void *streaming) {
    struct streaming *s = streaming;
    struct operation *op =
        operation_find(request_engine(s->request)->operations, s->uuid);
    if (op)
        operation_unwait_input(op, s->spid, &s->waiter);
    free(s);
}

static int streaming_open(struct request *r, int64_t length, struct fault *f) {
    struct operation *op = operation_find_active(r, f);
    struct streaming *s = op ? calloc(1, sizeof *s) : NULL;
    (void)length;
    if (!s)
        return op ? fault_memory(f) : -1;
    s->waiter.ready = streaming_ready;
    s->request = r;
    request_own(r, s, streaming_release);
    if (api_uuid(r, 0, "operation", s->uuid, f) < 0 ||
        read_spid(r, &s->spid, f) < 0)
        return -1;
    return operation_write(op, s->spid, NULL, 0, false, f);
}

/* The reply would come only after all of the body, which nobody wants. */
static ssize_t streaming_write(struct request *r, const void *data,
                               size_t length, struct fault *f) {
    struct streaming *s = request_state(r);
    struct operation *op =
        operation_find(request_engine(r)->operations, s->uuid);
    ssize_t n =
        op ? operation_stream(op, s->spid, data, length, &s->waiter, f) : -1;
    return n < 0 ? STREAM_CUT : n;
}

static void streaming_end(struct request *r) {
    struct streaming *s = request_state(r);
    struct fault f;
    struct operation *op = operation_find_active(r, &f);
    if (!op || operation_write(op, s->spid, NULL, 0, true, &f) < 0)
        reply_fault(r, &f);
    else
        reply_empty(r, 204);
}

/* ---- input from a file that the client has open ---- */

/* An extension (http-api.md §4.16). */
struct handover {
    struct job job;
    struct request *request; /* NULL: the client has gone */
    struct named_file file;
    char uuid[UUID_SIZE];
    int spid, fd;
    int64_t offset;
    struct fault fault;
};

static void handover_work(struct job *j) {
    struct handover *h = (struct handover *)j;
    h->fd = named_file_open(&h->file, &h->fault);
}

/* The operation may have ended meanwhile. */
static int hand_over(struct handover *h, struct fault *f) {
    struct engine *e = job_engine(&h->job);
    struct operation *op = operation_find(e->operations, h->uuid);
    int fd = steal_fd(&h->fd);
    if (op && h->request)
        return operation_feed(op, h->spid, fd, (off_t)h->offset, f);
    close_fd(fd);
    return fault_set(f, 409, "the operation is not running any more");
}

static void handover_done(struct job *j) {
    struct handover *h = (struct handover *)j;
    if (h->fd >= 0)
        hand_over(h, &h->fault);
    if (h->request && h->fault.status)
        reply_fault(h->request, &h->fault);
    else if (h->request)
        reply_empty(h->request, 204);
    free(h);
}

static void handover_gone(void *handover) {
    ((struct handover *)handover)->request = NULL;
}

static int handover_read(struct request *r, struct handover *h,
                         struct fault *f) {
    struct fields in;
    fields_init(&in, request_json(r), "");
    field_int(&in, "offset", 0, INT64_MAX, &h->offset);
    if (!operation_find_active(r, f) || read_spid(r, &h->spid, f) < 0)
        return -1;
    return api_uuid(r, 0, "operation", h->uuid, f) < 0
               ? -1
               : named_file_read(r, &in, &h->file, f);
}

static void subprocess_stdin_file(struct request *r) {
    struct handover *h = calloc(1, sizeof *h);
    struct fault f;
    if (!h) {
        reply_memory(r);
        return;
    }
    if (handover_read(r, h, &f) < 0) {
        free(h);
        reply_fault(r, &f);
        return;
    }
    h->request = r;
    request_on_gone(r, handover_gone, h);
    job_start(&request_engine(r)->workers, &h->job, handover_work,
              handover_done);
}

/* ---- terminals ---- */

/* An extension (http-api.md §4.30). */
static void subprocess_resize(struct request *r) {
    int64_t rows = 0, columns = 0;
    struct fields in;
    struct fault f;
    int spid;
    fields_init(&in, request_json(r), "");
    terminal_size_read(&in, &rows, &columns);
    if (!in.fault.status && (!rows || !columns))
        field_refuse(&in, rows ? "cols" : "rows", "is missing");
    if (in.fault.status) {
        reply_fault(r, &in.fault);
        return;
    }
    struct operation *op = operation_find_active(r, &f);
    if (!op || read_spid(r, &spid, &f) < 0 ||
        operation_resize(op, spid, (unsigned)rows, (unsigned)columns, &f) < 0)
        reply_fault(r, &f);
    else
        reply_empty(r, 204);
}

/* An extension (http-api.md §4.30). */
static void subprocess_hang_up(struct request *r) {
    struct fault f;
    int spid;
    struct operation *op = operation_find_active(r, &f);
    if (!op || read_spid(r, &spid, &f) < 0 ||
        operation_hang_up(op, spid, &f) < 0)
        reply_fault(r, &f);
    else
        reply_empty(r, 204);
}

const struct route subprocesses_routes[] = {
    {"POST", "operations/*/subprocesses", BODY_JSON,
     .handle = subprocess_create, .digest = subprocess_digest},
    {"GET", "operations/*/subprocesses/*", .handle = subprocess_get},
    {"DELETE", "operations/*/subprocesses/*", .handle = subprocess_kill},
    {.method = NULL},
};

const struct route subprocesses_plain[] = {
    {"POST", "operations/*/subprocesses/*/stdin", BODY_JSON,
     .handle = subprocess_stdin, .digest = subprocess_stdin_digest},
    {.method = NULL},
};

const struct route subprocesses_extensions[] = {
    {"POST", "operations/*/subprocesses/*/stdin", BODY_BYTES,
     .handle = subprocess_stdin, .digest = subprocess_stdin_digest},
    {"POST", "operations/*/subprocesses/*/stdin/stream", BODY_STREAM,
     .handle = streaming_end, .open = streaming_open, .write = streaming_write},
    {"POST", "operations/*/subprocesses/*/stdin/descriptor", BODY_JSON,
     .handle = subprocess_stdin_file},
    {"POST", "operations/*/subprocesses/*/tty", BODY_JSON,
     .handle = subprocess_resize},
    {"DELETE", "operations/*/subprocesses/*/tty", .handle = subprocess_hang_up},
    {.method = NULL},
};
