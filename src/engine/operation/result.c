/* result.c: see result.h. */
#define _GNU_SOURCE
#include "operation/result.h"
#include "base/json.h"
#include "base/scope.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int64_t microseconds(struct timeval t) {
    return (int64_t)t.tv_sec * 1000000 + t.tv_usec;
}

/* EventResources (http-api.md §5.18). */
static void write_event_resources(struct buffer *b, const struct rusage *u) {
    json_open(b, "resources", '{');
    json_add_int(b, "user_time_us", microseconds(u->ru_utime));
    json_add_int(b, "sys_time_us", microseconds(u->ru_stime));
    json_add_int(b, "max_rss_kb", u->ru_maxrss);
    json_add_int(b, "shared_memory", u->ru_ixrss);
    json_add_int(b, "unshared_memory", u->ru_idrss);
    json_add_int(b, "swaps", u->ru_nswap);
    json_add_int(b, "minor_faults", u->ru_minflt);
    json_add_int(b, "major_faults", u->ru_majflt);
    json_add_int(b, "voluntary_ctx_switches", u->ru_nvcsw);
    json_add_int(b, "involuntary_ctx_switches", u->ru_nivcsw);
    json_add_int(b, "block_input_ops", u->ru_inblock);
    json_add_int(b, "block_output_ops", u->ru_oublock);
    json_add_int(b, "ipc_msgs_sent", u->ru_msgsnd);
    json_add_int(b, "ipc_msgs_received", u->ru_msgrcv);
    json_add_int(b, "signals_received", u->ru_nsignals);
    json_close(b, '}');
}

void exit_event_write(struct buffer *b, const struct sandbox_exit *e,
                      bool timed_out, const char *limit, int64_t value) {
    json_add_int(b, "pid", e->pid);
    json_add_int(b, "code", e->code);
    json_add_int(b, "signal", e->signal);
    json_add_bool(b, "timed_out", timed_out);
    json_add_int(b, "duration_ms", (int64_t)(e->seconds * 1000 + 0.5));
    json_add_bool(b, "core_dump", e->core_dump);
    /* Extensions (http-api.md §5.8). */
    json_add_int(b, "elapsed_us", (int64_t)(e->seconds * 1e6));
    json_add_int(b, "background_killed", e->background_killed);
    if (limit)
        json_add_string(b, "limit", limit);
    if (limit && value)
        json_add_int(b, "limit_value", value);
    write_event_resources(b, &e->usage);
}

/* InstanceResources: the same counts by other names. */
static void write_resources(struct buffer *b, const struct result *r) {
    const struct rusage *u = &r->usage;
    double elapsed = (double)r->elapsed_us / 1e6;
    json_add_int(b, "block_input", u->ru_inblock);
    json_add_int(b, "block_output", u->ru_oublock);
    json_add_int(b, "involuntary_switches", u->ru_nivcsw);
    json_add_int(b, "max_rss", u->ru_maxrss);
    json_add_int(b, "page_faults", u->ru_minflt);
    json_add_int(b, "page_faults_io", u->ru_majflt);
    json_add_int(b, "shared_memory", u->ru_ixrss);
    json_add_int(b, "signals", u->ru_nsignals);
    json_add_int(b, "swaps", u->ru_nswap);
    json_add_int(b, "unshared_memory", u->ru_idrss);
    json_add_int(b, "voluntary_switches", u->ru_nvcsw);
    json_add_number(b, "cost", 0); /* the user's own machine */
    json_add_number(b, "elapsed_time", elapsed);
    json_add_number(b, "monotonic_time", elapsed);
    json_add_number(b, "system_cpu_time",
                    (double)microseconds(u->ru_stime) / 1e6);
    json_add_number(b, "user_cpu_time",
                    (double)microseconds(u->ru_utime) / 1e6);
    json_add_int(b, "layer_bytes", r->layer_bytes);
}

/* ---- kept beside the log ---- */

void result_init(struct result *r, size_t most) {
    *r = (struct result){.code = -1, .signal = -1};
    buffer_init(&r->out.data, most);
    buffer_init(&r->err.data, most);
}

void result_add_isolation(struct result *r, const char *isolation,
                          size_t length) {
    free(r->isolation);
    r->isolation = strndup(isolation, length);
    r->has_airlock = r->isolation && strstr(r->isolation, "\"airlock\"");
}

void result_add_start(struct result *r, int pid) {
    r->started = true;
    r->pid = pid;
}

void result_add_output(struct result_stream *s, const void *data,
                       size_t length) {
    size_t room = s->data.maximum - s->data.length;
    s->emitted += (int64_t)length;
    buffer_add(&s->data, data, length < room ? length : room);
}

void result_add_limit(struct result *r, const char *limit, int64_t value) {
    if (!limit)
        return;
    snprintf(r->limit, sizeof r->limit, "%s", limit);
    r->limit_value = value;
}

void result_add_exit(struct result *r, const struct sandbox_exit *e,
                     bool timed_out, const char *limit, int64_t value) {
    r->exited = true;
    r->pid = e->pid;
    r->code = e->code;
    r->signal = e->signal;
    r->timed_out = timed_out;
    r->core_dump = e->core_dump;
    r->background_killed = e->background_killed;
    r->usage = e->usage;
    r->elapsed_us = (int64_t)(e->seconds * 1e6);
    result_add_limit(r, limit, value);
}

static bool is_whole(const struct result_stream *s) {
    return !s->data.failed && s->emitted == (int64_t)s->data.length;
}

bool result_is_whole(const struct result *r) {
    return is_whole(&r->out) && is_whole(&r->err);
}

/* ---- read back from the log ---- */

static int64_t number(const json_t *object, const char *name) {
    return json_integer_value(json_object_get(object, name));
}

static bool is_true(const json_t *object, const char *name) {
    return json_is_true(json_object_get(object, name));
}

static struct timeval fold_time(const json_t *used, const char *name) {
    int64_t us = number(used, name);
    return (struct timeval){us / 1000000, us % 1000000};
}

static struct rusage fold_usage(const json_t *used) {
    return (struct rusage){
        .ru_utime = fold_time(used, "user_time_us"),
        .ru_stime = fold_time(used, "sys_time_us"),
        .ru_maxrss = number(used, "max_rss_kb"),
        .ru_ixrss = number(used, "shared_memory"),
        .ru_idrss = number(used, "unshared_memory"),
        .ru_nswap = number(used, "swaps"),
        .ru_minflt = number(used, "minor_faults"),
        .ru_majflt = number(used, "major_faults"),
        .ru_nvcsw = number(used, "voluntary_ctx_switches"),
        .ru_nivcsw = number(used, "involuntary_ctx_switches"),
        .ru_inblock = number(used, "block_input_ops"),
        .ru_oublock = number(used, "block_output_ops"),
        .ru_nsignals = number(used, "signals_received"),
    };
}

static void fold_limit(struct result *r, const json_t *data) {
    result_add_limit(r, json_string_value(json_object_get(data, "limit")),
                     number(data, "limit_value"));
}

static void fold_exit(struct result *r, const json_t *data) {
    r->exited = true;
    r->pid = (int)number(data, "pid");
    r->code = (int)number(data, "code");
    r->signal = (int)number(data, "signal");
    r->timed_out = is_true(data, "timed_out");
    r->core_dump = is_true(data, "core_dump");
    r->background_killed = (int)number(data, "background_killed");
    r->usage = fold_usage(json_object_get(data, "resources"));
    r->elapsed_us = number(data, "elapsed_us");
    fold_limit(r, data);
}

static void fold_isolation(struct result *r, const json_t *data) {
    const json_t *isolation = json_object_get(data, "isolation");
    struct buffer b;
    if (!isolation)
        return;
    buffer_init(&b, 64 * 1024);
    json_add_value(&b, "isolation", isolation);
    if (!b.failed)
        result_add_isolation(r, b.data, b.length);
    buffer_free(&b);
}

static void fold_truncated(struct result *r, const json_t *data) {
    const char *name = json_string_value(json_object_get(data, "stream"));
    bool is_err = name && strcmp(name, "stderr") == 0;
    (is_err ? &r->err : &r->out)->dropped = number(data, "bytes_dropped");
}

static void fold_stream(struct result_stream *s, const json_t *data) {
    const char *value = json_string_value(json_object_get(data, "value"));
    const char *encoding = json_string_value(json_object_get(data, "encoding"));
    char *bytes CLEANUP(cleanup_free) = NULL;
    size_t length;
    if (!value || !encoding || !stream_decode(value, encoding, &bytes, &length))
        return;
    result_add_output(s, bytes, length);
}

/* Whether a line adds to the result. The bulk of a large output is not parsed.
 */
static bool is_of_use(const struct result *r, const struct event_line *line,
                      int spid) {
    if (line->spid == 0)
        return spid == 1 &&
               (event_is(line, "init") || event_is(line, "denied") ||
                event_is(line, "tried") || event_is(line, "completion"));
    if (line->spid != spid)
        return false;
    if (event_is(line, "stdout"))
        return r->out.emitted <= RESULT_STREAM_MAX;
    if (event_is(line, "stderr"))
        return r->err.emitted <= RESULT_STREAM_MAX;
    return event_is(line, "spawn") || event_is(line, "exit") ||
           event_is(line, "truncated");
}

static void fold_data(struct result *r, const struct event_line *line,
                      const json_t *data) {
    if (event_is(line, "stdout")) {
        fold_stream(&r->out, data);
    } else if (event_is(line, "stderr")) {
        fold_stream(&r->err, data);
    } else if (event_is(line, "truncated")) {
        fold_truncated(r, data);
    } else if (event_is(line, "spawn")) {
        result_add_start(r, (int)number(data, "pid"));
    } else if (event_is(line, "init")) {
        fold_isolation(r, data);
    } else if (event_is(line, "exit")) {
        fold_exit(r, data);
    } else if (event_is(line, "denied")) {
        egress_count_denied(&r->egress, data);
    } else if (event_is(line, "tried")) {
        egress_count_tried(&r->egress, data);
    } else { /* completion */
        r->layer_bytes = number(data, "layer_bytes");
        fold_limit(r, data);
    }
}

static int fold_line(struct result *r, const struct event_line *line) {
    json_t *event = json_loadb(line->text, line->length, 0, NULL);
    if (!event)
        return -1;
    fold_data(r, line, json_object_get(event, "data"));
    json_decref(event);
    return 0;
}

static int fold_raw(struct result *r, const struct event_reader *reader,
                    const struct event_line *line) {
    char data[EVENT_BYTES_MAX];
    if (!event_raw(reader, line, 0, data, line->raw_length))
        return -1;
    result_add_output(event_is(line, "stderr") ? &r->err : &r->out, data,
                      line->raw_length);
    return 0;
}

int result_fold(struct event_reader *reader, int spid, struct result *out,
                struct fault *f) {
    struct event_line line;
    enum event_status status;
    result_init(out, RESULT_STREAM_MAX);
    while ((status = event_next(reader, &line)) == EVENT_LINE) {
        if (!is_of_use(out, &line, spid))
            continue;
        if (line.raw_length ? fold_raw(out, reader, &line) < 0
                            : fold_line(out, &line) < 0)
            return fault_set(f, 500, "the event log is damaged");
    }
    if (status == EVENT_BROKEN)
        return fault_set(f, 500, "the event log is damaged");
    if (out->out.data.failed || out->err.data.failed)
        return fault_memory(f);
    return 0;
}

void result_clear(struct result *r) {
    free(r->isolation);
    buffer_free(&r->out.data);
    buffer_free(&r->err.data);
    egress_clear(&r->egress);
    *r = (struct result){0};
}

static void write_state(struct buffer *b, const struct result *r) {
    json_open(b, "state", '{');
    json_add_int(b, "exit_code", r->code);
    json_add_int(b, "signal", r->signal);
    json_add_bool(b, "timed_out", r->timed_out);
    json_add_int(b, "pid", r->pid);
    json_add_bool(b, "core_dump", r->core_dump);
    json_add_bool(b, "stopped", false);
    json_add_bool(b, "continued", false);
    json_close(b, '}');
}

static void write_stream(struct buffer *b, const char *key,
                         const struct result_stream *s) {
    json_open(b, key, '{');
    json_add_stream(b, s->data.data, s->data.length);
    json_add_bool(b, "truncated",
                  s->dropped > 0 || s->emitted > (int64_t)s->data.length);
    json_close(b, '}');
}

/* All of these are extensions (http-api.md §5.8). */
static void write_extensions(struct buffer *b, const struct result *r) {
    if (r->limit[0])
        json_add_string(b, "limit", r->limit);
    if (r->limit_value)
        json_add_int(b, "limit_value", r->limit_value);
    if (r->isolation)
        buffer_add(b, r->isolation, strlen(r->isolation));
    if (r->exited)
        json_add_int(b, "background_killed", r->background_killed);
    if (r->has_airlock)
        egress_write(b, "denied", r->egress.denied);
    if (r->egress.tried)
        egress_write(b, "tried", r->egress.tried);
}

void result_write(struct buffer *b, const char *key, const struct result *r,
                  bool over, bool plain) {
    if (!r->started && !over) {
        json_add_raw(b, key, NULL, 0);
        return;
    }
    json_open(b, key, '{');
    json_open(b, "resources", '{');
    if (r->exited)
        write_resources(b, r);
    json_close(b, '}');
    write_state(b, r);
    write_stream(b, "stdout", &r->out);
    write_stream(b, "stderr", &r->err);
    if (!plain)
        write_extensions(b, r);
    json_close(b, '}');
}
