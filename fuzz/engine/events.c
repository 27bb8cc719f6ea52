/* events.c: a log that is damaged in any way is read to an end, without a line
 * that is not in it; a result of it is JSON; an event can be appended. The
 * first byte: the log is in memory, or in a file. */
#define _GNU_SOURCE
#include "operation/events.h"
#include "../input.h"
#include "base/json.h"
#include "operation/result.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static const char uuid[] = "01a209c8-7de6-709f-b1ff-58ce37160283";

static void read_from(struct event_log *log, int64_t after, size_t most) {
    struct event_reader *r = event_reader_new(log, after, true);
    struct event_line line;
    size_t bytes = 0;
    char piece[64];
    HOLDS(r);
    while (event_next(r, &line) == EVENT_LINE) {
        bytes += line.length + 1;
        HOLDS(bytes <= most);
        HOLDS(line.type >= line.text &&
              line.type + line.type_length <= line.text + line.length);
        HOLDS(line.raw_length <= EVENT_BYTES_MAX);
        if (line.raw_length > 0)
            event_raw(r, &line, 0, piece,
                      line.raw_length < 64 ? line.raw_length : 64);
        event_expand(r, &line);
    }
    event_reader_free(r);
}

static void fold(struct event_log *log, int spid) {
    struct event_reader *r = event_reader_new(log, -1, true);
    struct result result = {0};
    struct buffer b;
    struct fault f;
    HOLDS(r);
    buffer_init(&b, 64 << 20);
    if (result_fold(r, spid, &result, &f) == 0) {
        json_open(&b, NULL, '{');
        result_write(&b, "result", &result, true, spid == 2);
        json_close(&b, '}');
        json_end(&b);
        HOLDS(!b.failed);
        json_t *object = json_loadb(b.data, b.length, 0, NULL);
        HOLDS(object);
        json_decref(object);
    }
    buffer_free(&b);
    result_clear(&result);
    event_reader_free(r);
}

static void use(struct event_log *log, size_t size) {
    for (int64_t after = -1; after < 4; after++)
        read_from(log, after, size + 1);
    fold(log, 1);
    fold(log, 2);
    event_log_last(log);
    if (event_log_is_cut(log)) {
        struct buffer *b = event_begin(log, "completion", 0);
        json_add_string(b, "status", "FAILED");
        event_end(log);
        HOLDS(event_log_fault(log) || !event_log_is_cut(log));
    }
    event_log_unref(log);
}

static void write_file(int dir, const char *bytes, size_t size) {
    char name[64];
    snprintf(name, sizeof name, "e/%s.log", uuid);
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    HOLDS(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
    close(fd);
}

static int make_directory(void) {
    char name[64];
    int dir = open(fuzz_directory("events"), O_RDONLY | O_DIRECTORY);
    HOLDS(dir >= 0 && mkdirat(dir, "e", 0700) == 0);
    snprintf(name, sizeof name, "e/%s.raw", uuid);
    int fd = openat(dir, name, O_WRONLY | O_CREAT, 0600);
    HOLDS(fd >= 0 && write(fd, "\0some output\n", 13) == 13);
    close(fd);
    return dir;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static int dir = -1; /* made once */
    struct input in = {data, size};
    struct fault f;
    size_t length;
    if (dir < 0)
        dir = make_directory();
    bool in_file = input_byte(&in) & 1;
    char *bytes = input_rest(&in, &length);
    struct event_log *log;
    if (in_file) {
        write_file(dir, bytes, length);
        free(bytes);
        log = event_log_load(dir, uuid, NULL, 0, &f);
    } else {
        /* The store gives text with a NUL behind it. */
        bytes = realloc(bytes, length + 1);
        HOLDS(bytes);
        bytes[length] = '\0';
        log = event_log_load(dir, uuid, bytes, length, &f);
    }
    if (log)
        use(log, length);
    return 0;
}
