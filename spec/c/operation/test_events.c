/* test_events.c: the event log (order, cursors, the move to a file, repair),
 * and the result that is folded from it. */
#define _GNU_SOURCE
#include "base/buffer.h"
#include "base/fault.h"
#include "base/json.h"
#include "check.h"
#include "operation/events.h"
#include "operation/result.h"
#include "temp_dir.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static const char uuid[] = "01a209c8-7de6-709f-b1ff-58ce37160283";

static void add(struct event_log *log, const char *type, int spid,
                const char *data, size_t length) {
    struct buffer *b = event_begin(log, type, spid);
    json_add_stream(b, data, length);
    event_end(log);
}

static void add_completion(struct event_log *log) {
    json_add_string(event_begin(log, "completion", 0), "status", "SUCCESS");
    event_end(log);
}

/* Count the events after `after`, whose ids must have no gaps. */
static int count(struct event_log *log, int64_t after, bool frozen) {
    struct event_reader *r = event_reader_new(log, after, frozen);
    struct event_line line;
    enum event_status status;
    int n = 0;
    int64_t next = after + 1;
    while ((status = event_next(r, &line)) == EVENT_LINE) {
        CHECK_NUMBER(line.id, next);
        next++;
        n++;
    }
    CHECK(status != EVENT_BROKEN);
    event_reader_free(r);
    return n;
}

static void test_memory(void) {
    struct event_log *log = event_log_new(AT_FDCWD, uuid);
    struct event_line line;
    add(log, "stdout", 1, "\"\n", 2);
    add(log, "stderr", 2, "\0", 1);
    struct event_reader *r = event_reader_new(log, -1, false);
    CHECK(event_next(r, &line) == EVENT_LINE && event_is(&line, "stdout"));
    CHECK(line.id == 0 && line.spid == 1);
    CHECK(event_next(r, &line) == EVENT_LINE && event_is(&line, "stderr"));
    CHECK(!event_is(&line, "std") && line.spid == 2);
    CHECK(event_next(r, &line) == EVENT_NONE_YET);
    event_log_hold(log);
    add_completion(log);
    CHECK(event_next(r, &line) == EVENT_NONE_YET);
    CHECK_NUMBER(count(log, -1, true), 2);
    event_log_release(log);
    CHECK(event_next(r, &line) == EVENT_LINE);
    CHECK(event_next(r, &line) == EVENT_NONE_YET);
    event_log_finish(log);
    CHECK(event_next(r, &line) == EVENT_END);
    CHECK(!event_log_in_file(log));
    event_reader_free(r);
    event_log_unref(log);
}

/* A rollback keeps the events before the hold, and removes those after it. */
static void test_rollback(void) {
    struct temp_dir d = temp_dir_make();
    static char data[900000];
    for (int in_file = 0; in_file < 2; in_file++) {
        struct event_log *log = event_log_new(d.fd, uuid);
        for (int i = 0; i <= in_file; i++)
            add(log, "stdout", 1, data, sizeof data / 2);
        event_log_hold(log);
        add(log, "stdout", 1, data, sizeof data);
        CHECK(event_log_in_file(log));
        event_log_rollback(log);
        CHECK_NUMBER(count(log, -1, true), 1 + in_file);
        add_completion(log);
        event_log_finish(log);
        CHECK_NUMBER(count(log, -1, false), 2 + in_file);
        event_log_unref(log);
        CHECK(shell("rm -r %s/e", d.path));
    }
    temp_dir_remove(&d);
}

static int woken;

static void on_wake(void *arg) {
    (void)arg;
    woken++;
}

static void test_subscribers(void) {
    struct event_log *log = event_log_new(AT_FDCWD, uuid);
    struct event_subscriber a = {on_wake, NULL, NULL}, b = a;
    woken = 0;
    event_subscribe(log, &a);
    event_subscribe(log, &b);
    add(log, "stdout", 1, "x", 1);
    CHECK_NUMBER(woken, 2);
    event_unsubscribe(log, &a);
    event_unsubscribe(log, &a);
    event_log_hold(log);
    add(log, "stdout", 1, "x", 1);
    CHECK_NUMBER(woken, 2);
    event_log_finish(log);
    CHECK(woken > 2);
    event_unsubscribe(log, &b);
    event_log_unref(log);
}

/* A reader goes on across the move to the file, and every cursor finds its
 * place there. */
static void test_file(void) {
    struct temp_dir d = temp_dir_make();
    static char data[50000];
    struct event_log *log = event_log_new(d.fd, uuid);
    struct event_reader *r = event_reader_new(log, -1, false);
    struct event_line line;
    for (int i = 0; i < 300; i++) {
        memset(data, i, sizeof data);
        add(log, "stdout", 1, data, (size_t)i * 97 % sizeof data);
        CHECK(event_next(r, &line) == EVENT_LINE && line.id == i);
        CHECK(event_next(r, &line) == EVENT_NONE_YET);
    }
    CHECK(event_log_in_file(log) && !event_log_fault(log));
    size_t length;
    CHECK(!event_log_text(log, &length));
    for (int after = -1; after < 305; after++)
        CHECK_NUMBER(count(log, after, true), after < 299 ? 299 - after : 0);
    event_reader_free(r);
    event_log_unref(log);
    temp_dir_remove(&d);
}

/* The data of an event as JSON, whether it is in the spool or not. */
static char *data_text(struct event_reader *r, struct event_line *line) {
    CHECK(event_expand(r, line));
    json_t *event = json_loadb(line->text, line->length, 0, NULL);
    CHECK_NUMBER(json_integer_value(json_object_get(event, "id")), line->id);
    char *text = json_dumps(json_object_get(event, "data"),
                            JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(event);
    return text;
}

/* Fill a log beyond what is kept in memory. */
static void make_large(struct event_log *log) {
    static char data[60000];
    while (!event_log_in_file(log))
        add(log, "stdin", 1, data, sizeof data);
}

/* Pieces in the spool are the events that they are in memory. */
static void test_spool(void) {
    struct temp_dir d = temp_dir_make();
    static char data[EVENT_BYTES_MAX], raw[EVENT_BYTES_MAX];
    struct event_log *a = event_log_new(d.fd, uuid);
    struct event_log *b = event_log_new(AT_FDCWD, uuid);
    make_large(a);
    int before = count(a, -1, true);
    for (int i = 0; i < 12; i++) {
        size_t length = (size_t)(i * 7919) % sizeof data;
        memset(data, i % 2 ? 'a' + i : 200 + i, length);
        event_add_stream(a, i % 3 ? "stdout" : "stderr", 1 + i % 2, data,
                         length);
        event_add_stream(b, i % 3 ? "stdout" : "stderr", 1 + i % 2, data,
                         length);
    }
    struct event_reader *x = event_reader_new(a, before - 1, false);
    struct event_reader *y = event_reader_new(b, -1, false);
    struct event_line in_spool, in_text;
    int spooled = 0;
    while (event_next(x, &in_spool) == EVENT_LINE) {
        CHECK(event_next(y, &in_text) == EVENT_LINE && !in_text.raw_length);
        CHECK_NUMBER(in_spool.id, in_text.id + before);
        CHECK_NUMBER(in_spool.spid, in_text.spid);
        CHECK(in_spool.type_length == in_text.type_length);
        size_t length = in_spool.raw_length;
        spooled += length > 0;
        if (length)
            CHECK(event_raw(x, &in_spool, 1, raw, length - 1));
        char *p = data_text(x, &in_spool), *q = data_text(y, &in_text);
        CHECK_STRING(p, q);
        free(p);
        free(q);
    }
    CHECK(spooled > 8 && event_next(y, &in_text) == EVENT_NONE_YET);
    CHECK(!event_log_fault(a));
    event_reader_free(x);
    event_reader_free(y);
    event_log_unref(a);
    event_log_unref(b);
    temp_dir_remove(&d);
}

/* What a pipe holds becomes events of at most EVENT_BYTES_MAX bytes. */
static void test_splice(void) {
    struct temp_dir d = temp_dir_make();
    static char data[150000], raw[EVENT_BYTES_MAX];
    int pipe[2];
    struct event_log *log = event_log_new(d.fd, uuid);
    struct event_line line;
    CHECK(pipe2(pipe, O_NONBLOCK) == 0);
    CHECK(fcntl(pipe[1], F_SETPIPE_SZ, 1 << 18) > 0);
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)(i * i / 7);
    CHECK(write(pipe[1], data, sizeof data) == sizeof data);
    errno = 0;
    CHECK(event_splice(log, "stdout", 1, pipe[0], 1 << 20) == -1);
    CHECK(errno == EINVAL); /* no spool yet */
    make_large(log);
    struct event_reader *r =
        event_reader_new(log, count(log, -1, true) - 1, false);
    ssize_t n;
    while ((n = event_splice(log, "stdout", 1, pipe[0], 100000)) > 0)
        CHECK(n <= 100000);
    CHECK(n < 0 && errno == EAGAIN);
    size_t got = 0;
    while (event_next(r, &line) == EVENT_LINE) {
        CHECK(line.raw_length && event_is(&line, "stdout"));
        CHECK(event_raw(r, &line, 0, raw, line.raw_length));
        CHECK(memcmp(raw, data + got, line.raw_length) == 0);
        got += line.raw_length;
    }
    CHECK_NUMBER(got, sizeof data);
    close(pipe[1]);
    CHECK(event_splice(log, "stdout", 1, pipe[0], 1) == 0);
    close(pipe[0]);
    event_reader_free(r);
    event_log_unref(log);
    temp_dir_remove(&d);
}

/* The bytes of each event of which some are spooled are those of `data` from
 * where its id says. */
static int check_both(struct event_log *log, const char *data) {
    static char raw[EVENT_BYTES_MAX];
    struct event_reader *r = event_reader_new(log, -1, false);
    struct event_line line;
    int inputs = 0;
    while (event_next(r, &line) == EVENT_LINE) {
        if (!line.raw_length)
            continue;
        bool is_input = event_is(&line, "stdin");
        CHECK(event_is_output(&line) == !is_input);
        CHECK(event_is_spooled(r, &line));
        CHECK(event_raw(r, &line, 0, raw, line.raw_length));
        CHECK(memcmp(raw, data + (is_input ? 1000 * inputs : 0),
                     line.raw_length) == 0);
        inputs += is_input;
    }
    event_reader_free(r);
    return inputs;
}

/* Input has a spool of its own; after a power cut either may be shorter than
 * the lines say. */
static void test_input(void) {
    struct temp_dir d = temp_dir_make();
    static char data[100000];
    struct fault f;
    struct event_log *log = event_log_new(d.fd, uuid);
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)(i * i / 7);
    event_add_stream(log, "stdout", 1, data, 1000); /* in memory */
    int fd = event_input(log, &f);
    CHECK(fd >= 0);
    for (int i = 0; i < 4; i++) {
        int64_t at = event_reserve_input(log, 1000);
        CHECK_NUMBER(at, 1000 * i);
        CHECK(pwrite(fd, data + at, 1000, at) == 1000);
        event_add_stream(log, "stdout", 1, data, 500);
        event_add_input(log, 1, at, 1000);
    }
    close(fd);
    CHECK_NUMBER(check_both(log, data), 4);
    int all = count(log, -1, false);
    event_log_unref(log);
    log = event_log_load(d.fd, uuid, NULL, 0, &f);
    CHECK_NUMBER(check_both(log, data), 4);
    event_log_unref(log);
    CHECK(shell("truncate -s 3500 %s/e/%s.in", d.path, uuid));
    log = event_log_load(d.fd, uuid, NULL, 0, &f);
    CHECK(event_log_is_cut(log));
    CHECK_NUMBER(check_both(log, data), 3);
    CHECK_NUMBER(count(log, -1, false), all - 1);
    event_log_unref(log);
    CHECK(shell("truncate -s 1200 %s/e/%s.raw", d.path, uuid));
    log = event_log_load(d.fd, uuid, NULL, 0, &f);
    CHECK(event_log_is_cut(log));
    CHECK_NUMBER(check_both(log, data), 2);
    event_log_unref(log);
    temp_dir_remove(&d);
}

/* After a power cut the spool may be shorter than its lines say: the log ends
 * before the first of these. */
static void test_spool_repair(void) {
    struct temp_dir d = temp_dir_make();
    struct fault f;
    static char data[50000];
    struct event_log *log = event_log_new(d.fd, uuid);
    make_large(log);
    int before = count(log, -1, true);
    for (int i = 0; i < 8; i++)
        event_add_stream(log, "stdout", 1, data, sizeof data);
    event_log_unref(log);
    CHECK(shell("truncate -s 120000 %s/e/%s.raw", d.path, uuid));
    for (int i = 0; i < 2; i++) {
        log = event_log_load(d.fd, uuid, NULL, 0, &f);
        CHECK_NUMBER(event_log_is_cut(log), i == 0);
        if (i == 0)
            add_completion(log);
        CHECK_NUMBER(count(log, -1, false), before + 3);
        event_log_unref(log);
    }
    CHECK(shell("truncate -s 7 %s/e/%s.raw", d.path, uuid)); /* by somebody */
    log = event_log_load(d.fd, uuid, NULL, 0, &f);
    struct event_reader *r = event_reader_new(log, before - 1, false);
    struct event_line line;
    CHECK(event_next(r, &line) == EVENT_LINE);
    CHECK(!event_expand(r, &line));
    event_reader_free(r);
    event_log_unref(log);
    temp_dir_remove(&d);
}

static void test_repair(void) {
    struct temp_dir d = temp_dir_make();
    struct fault f;
    static char data[700000];
    struct event_log *log = event_log_new(d.fd, uuid);
    for (int i = 0; i < 5; i++)
        add(log, "stdout", 1, data, sizeof data);
    event_log_unref(log); /* as when the engine was killed */
    char name[64];
    snprintf(name, sizeof name, "e/%s.log", uuid);
    int fd = openat(d.fd, name, O_WRONLY | O_APPEND);
    CHECK(write(fd, "{\"id\":5,\"ts", 11) == 11);
    close(fd);
    for (int i = 0; i < 2; i++) {
        log = event_log_load(d.fd, uuid, NULL, 0, &f);
        bool cut = event_log_is_cut(log);
        CHECK_NUMBER(cut, i == 0);
        if (cut)
            add_completion(log);
        CHECK(!event_log_fault(log));
        CHECK_NUMBER(count(log, -1, false), 6);
        event_log_unref(log);
    }
    temp_dir_remove(&d);
}

/* On a full disk no line is cut short, during the move to the file or later. */
static void test_full_disk(void) {
    static char data[60000];
    for (int kilobytes = 64; kilobytes <= 4096; kilobytes *= 64) {
        struct temp_dir d = temp_dir_small(kilobytes);
        struct event_log *log = event_log_new(d.fd, uuid);
        for (int i = 0; i < 100; i++)
            add(log, "stdout", 1, data, sizeof data);
        const struct fault *f = event_log_fault(log);
        CHECK(f && f->status == 507);
        CHECK_NUMBER(event_log_in_file(log), kilobytes > 1024);
        CHECK(count(log, -1, false) > 10);
        event_log_unref(log);
        temp_dir_remove(&d);
    }
}

static void test_loading(void) {
    struct temp_dir d = temp_dir_make();
    struct fault f;
    struct event_log *log = event_log_load(d.fd, uuid, NULL, 0, &f);
    CHECK(log && event_log_is_cut(log)); /* neither text nor file */
    add_completion(log);
    CHECK_NUMBER(count(log, -1, false), 1);
    event_log_unref(log);
    char *text = strdup("{\"id\":0,\"ts\":\"2026-06-08T20:00:00.000000Z\","
                        "\"spid\":0,\"type\":\"completion\",\"data\":{}}\n");
    log = event_log_load(d.fd, uuid, text, strlen(text), &f);
    CHECK(!event_log_is_cut(log));
    CHECK_NUMBER(count(log, -1, false), 1);
    event_log_unref(log);
    text = strdup("nonsense\n");
    log = event_log_load(d.fd, uuid, text, strlen(text), &f);
    struct event_reader *r = event_reader_new(log, -1, false);
    struct event_line line;
    CHECK(event_next(r, &line) == EVENT_BROKEN);
    event_reader_free(r);
    event_log_unref(log);
    temp_dir_remove(&d);
}

static void fold(struct event_log *log, int spid, struct result *out) {
    struct fault f;
    struct event_reader *r = event_reader_new(log, -1, true);
    CHECK_NUMBER(result_fold(r, spid, out, &f), 0);
    event_reader_free(r);
}

static void test_fold(void) {
    struct event_log *log = event_log_new(AT_FDCWD, uuid);
    struct sandbox_exit e = {.code = 3, .signal = -1, .pid = 2, .seconds = 0.5};
    struct result result;
    fold(log, 1, &result);
    CHECK(!result.started);
    result_clear(&result);
    json_add_int(event_begin(log, "spawn", 1), "pid", 2);
    event_end(log);
    add(log, "stdout", 1, "a", 1);
    add(log, "stdout", 2, "other", 5);
    add(log, "stdout", 1, "\xc3", 1);
    fold(log, 1, &result);
    CHECK(result.started && !result.exited && result.code == -1);
    CHECK(result.out.data.length == 2 &&
          memcmp(result.out.data.data, "a\xc3", 2) == 0);
    result_clear(&result);
    struct buffer *b = event_begin(log, "truncated", 1);
    json_add_string(b, "stream", "stderr");
    json_add_int(b, "bytes_dropped", 5);
    event_end(log);
    exit_event_write(event_begin(log, "exit", 1), &e, true, "timeout", 5);
    event_end(log);
    fold(log, 1, &result);
    CHECK(result.exited && result.code == 3 && result.timed_out);
    CHECK_STRING(result.limit, "timeout");
    CHECK(result.err.dropped == 5 && result.out.dropped == 0);
    CHECK(result.elapsed_us == 500000);
    result_clear(&result);
    event_log_unref(log);
}

/* ---- the result beside the log ---- */

static char *as_json(const struct result *r) {
    struct buffer b;
    buffer_init(&b, 64 << 20);
    result_write(&b, "result", r, true, false);
    return buffer_take(&b);
}

static long below(long most) {
    return random() % most;
}

/* Mostly text, and sometimes more than is kept. */
static void emit_random(struct event_log *log, struct result *r) {
    static char data[64 * 1024];
    bool err = below(3) == 0;
    size_t length = (size_t)below(below(8) ? 200 : (long)sizeof data);
    for (size_t i = 0; i < length; i++)
        data[i] = (char)(below(60) ? 'a' + below(26) : below(256));
    event_add_stream(log, err ? "stderr" : "stdout", 1, data, length);
    result_add_output(err ? &r->err : &r->out, data, length);
    add(log, "stdout", 2, "other", 5);
}

static struct sandbox_exit random_exit(void) {
    struct sandbox_exit e = {
        .code = (int)below(257) - 1,
        .signal = (int)below(66) - 1,
        .core_dump = below(2),
        .pid = (int)below(100),
        .seconds = (double)below(1000000000) / 1e6,
        .background_killed = (int)below(3),
    };
    long *counts = &e.usage.ru_maxrss;
    e.usage.ru_utime.tv_sec = below(100);
    e.usage.ru_utime.tv_usec = below(1000000);
    e.usage.ru_stime.tv_usec = below(1000000);
    for (int i = 0; i < 14; i++) /* to ru_nivcsw */
        counts[i] = below(1 << 30);
    return e;
}

static void end_random(struct event_log *log, struct result *r) {
    struct sandbox_exit e = random_exit();
    const char *limit = below(2) ? "memory" : NULL;
    bool timed_out = below(2);
    if (below(2)) {
        struct buffer *b = event_begin(log, "truncated", 1);
        json_add_string(b, "stream", "stderr");
        json_add_int(b, "bytes_dropped", 77);
        event_end(log);
        r->err.dropped = 77;
    }
    exit_event_write(event_begin(log, "exit", 1), &e, timed_out, limit, 5);
    event_end(log);
    result_add_exit(r, &e, timed_out, limit, 5);
}

static void begin_random(struct event_log *log, struct result *r) {
    static const char isolation[] = "\"isolation\":[\"pids\",\"memory\"],";
    if (below(8)) {
        struct buffer *b = event_begin(log, "init", 0);
        buffer_add(b, isolation, strlen(isolation));
        event_end(log);
        result_add_isolation(r, isolation, strlen(isolation));
    }
    json_add_int(event_begin(log, "spawn", 1), "pid", 2);
    event_end(log);
    result_add_start(r, 2);
}

/* Whatever the events: both ways to a result give the same JSON, as long as
 * what is kept is whole. */
static void test_kept(void) {
    struct temp_dir d = temp_dir_make();
    int whole = 0, part = 0;
    srandom(7);
    for (int round = 0; round < 150; round++) {
        struct event_log *log = event_log_new(d.fd, uuid);
        struct result kept, folded;
        result_init(&kept, RESULT_KEPT_MAX);
        if (below(16))
            begin_random(log, &kept);
        for (long n = kept.started ? below(120) : 0; n > 0; n--)
            emit_random(log, &kept);
        if (below(8) && kept.started)
            end_random(log, &kept);
        fold(log, 1, &folded);
        char *a = as_json(&kept), *b = as_json(&folded);
        CHECK_NUMBER(folded.out.emitted, kept.out.emitted);
        CHECK_NUMBER(folded.err.emitted, kept.err.emitted);
        if (result_is_whole(&kept))
            CHECK_STRING(a, b);
        *(result_is_whole(&kept) ? &whole : &part) += 1;
        free(a);
        free(b);
        result_clear(&kept);
        result_clear(&folded);
        event_log_unref(log);
        CHECK(shell("rm -rf %s/e", d.path));
    }
    CHECK(whole > 50 && part > 5);
    temp_dir_remove(&d);
}

int main(void) {
    RUN(test_memory, "events are read in order, and not before a release");
    RUN(test_rollback, "a rollback takes back what came after the hold");
    RUN(test_subscribers, "subscribers are woken by what they can see");
    RUN(test_file, "a large log goes on in a file");
    RUN(test_spool, "bytes in the spool are the same events");
    RUN(test_splice, "a pipe is moved to the spool, byte by byte");
    RUN(test_input, "input is spooled apart from output");
    RUN(test_spool_repair, "a log that is ahead of its spool is cut");
    RUN(test_repair, "a log that was cut takes one last event");
    if (geteuid() == 0)
        RUN(test_full_disk, "a full disk ends a log, whole lines only");
    RUN(test_loading, "stored logs are read, missing and broken ones too");
    RUN(test_fold, "a result is folded from the events of one process");
    RUN(test_kept, "the result that is kept is the one that is folded");
    return CHECK_DONE();
}
