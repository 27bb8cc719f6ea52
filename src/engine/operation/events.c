/* events.c: see events.h. */
#define _GNU_SOURCE
#include "operation/events.h"
#include "base/clock.h"
#include "base/descriptor.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/log.h"
#include "base/uuid.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The longest line: a spawn event of the longest command line, escaped. */
enum { LINE_MAX_BYTES = 32 << 20, READ_BYTES = 128 * 1024 };

struct event_log {
    int references;
    int dir_fd;
    char uuid[UUID_SIZE];
    struct buffer text; /* all lines; in file mode only the one being made */
    int fd;             /* -1: in memory */
    int64_t size;       /* bytes of complete lines */
    int64_t visible;    /* what readers may see of them */
    int64_t next_id;
    int64_t held_id; /* next_id at the hold */
    bool held, finished;
    size_t begun; /* where the line being made starts in text */
    struct fault fault;
    struct event_subscriber *subscribers;
};

struct event_log *event_log_new(int dir_fd, const char *uuid) {
    struct event_log *log = calloc(1, sizeof *log);
    if (!log)
        return NULL;
    log->references = 1;
    log->dir_fd = dir_fd;
    log->fd = -1;
    memcpy(log->uuid, uuid, UUID_SIZE);
    buffer_init(&log->text, EVENTS_IN_MEMORY + LINE_MAX_BYTES);
    return log;
}

struct event_log *event_log_ref(struct event_log *log) {
    log->references++;
    return log;
}

void event_log_unref(struct event_log *log) {
    if (!log || --log->references > 0)
        return;
    drop_fd(&log->fd);
    buffer_free(&log->text);
    free(log);
}

static void file_name(const struct event_log *log, char out[64]) {
    snprintf(out, 64, "e/%s.log", log->uuid);
}

static int load_file(struct event_log *log, struct fault *f) {
    char name[64];
    struct stat st;
    file_name(log, name);
    log->fd = openat(log->dir_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (log->fd < 0 && errno == ENOENT)
        return 0;
    if (log->fd < 0 || fstat(log->fd, &st) < 0)
        return fault_errno(f, "cannot open the event log of operation %s",
                           log->uuid);
    log->size = st.st_size;
    return 0;
}

struct event_log *event_log_load(int dir_fd, const char *uuid, char *text,
                                 size_t length, struct fault *f) {
    struct event_log *log = event_log_new(dir_fd, uuid);
    if (!log) {
        free(text);
        fault_memory(f);
        return NULL;
    }
    log->finished = true;
    if (text) {
        log->text.data = text;
        log->text.length = length;
        log->text.capacity = length + 1;
        log->size = (int64_t)length;
    } else if (load_file(log, f) < 0) {
        event_log_unref(log);
        return NULL;
    }
    log->visible = log->size;
    return log;
}

static void wake_all(struct event_log *log) {
    struct event_subscriber *s = log->subscribers, *next;
    for (; s; s = next) {
        next = s->next;
        s->wake(s->arg);
    }
}

/* Makes what was appended visible. */
static void publish(struct event_log *log) {
    if (log->held || log->visible == log->size)
        return;
    log->visible = log->size;
    wake_all(log);
}

struct buffer *event_begin(struct event_log *log, const char *type, int spid) {
    struct buffer *b = &log->text;
    log->begun = b->length;
    json_open(b, NULL, '{');
    json_add_int(b, "id", log->next_id);
    json_add_time(b, "ts", wall_microseconds());
    json_add_int(b, "spid", spid);
    json_add_string(b, "type", type);
    json_open(b, "data", '{');
    return b;
}

/* Writes all of the text to the file, or leaves the file as it was. */
static int flush_text(struct event_log *log) {
    if (write_all(log->fd, log->text.data, log->text.length) < 0) {
        fault_errno(&log->fault, "cannot write the event log");
        /* A torn line must not be followed by others. */
        if (ftruncate(log->fd, log->size) < 0)
            log_line("event log of %s: torn line", log->uuid);
        return -1;
    }
    log->size += (int64_t)log->text.length;
    log->text.length = 0;
    return 0;
}

/* Moves the log from memory to its file. */
static int spill(struct event_log *log) {
    char name[64];
    file_name(log, name);
    if (mkdirat(log->dir_fd, "e", 0700) < 0 && errno != EEXIST)
        return fault_errno(&log->fault, "cannot make the event log directory");
    int fd = openat(log->dir_fd, name,
                    O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return fault_errno(&log->fault, "cannot make the event log");
    if (write_all(fd, log->text.data, (size_t)log->size) < 0) {
        fault_errno(&log->fault, "cannot write the event log");
        unlinkat(log->dir_fd, name, 0);
        close_fd(fd);
        return -1;
    }
    log->fd = fd;
    buffer_free(&log->text);
    return 0;
}

/* Takes the line being made away. A buffer that failed has lost all it had. */
static void drop_line(struct event_log *log) {
    if (log->text.failed) {
        if (!log->fault.status)
            fault_memory(&log->fault);
        log->text.failed = false;
        if (log->fd < 0)
            log->size = log->visible = 0;
    }
    log->text.length = log->fd < 0 ? (size_t)log->size : 0;
}

void event_end(struct event_log *log) {
    struct buffer *b = &log->text;
    if (b->length && b->data[b->length - 1] == ',')
        b->length--;
    if (!buffer_add(b, "}}\n", 3) || log->fault.status) {
        drop_line(log);
        return;
    }
    if (log->fd < 0)
        log->size = (int64_t)b->length;
    int result = log->fd >= 0                   ? flush_text(log)
                 : log->size > EVENTS_IN_MEMORY ? spill(log)
                                                : 0;
    if (result < 0) {
        if (log->fd < 0)
            log->size = (int64_t)log->begun;
        drop_line(log);
        return;
    }
    log->next_id++;
    publish(log);
}

const struct fault *event_log_fault(const struct event_log *log) {
    return log->fault.status ? &log->fault : NULL;
}

void event_log_hold(struct event_log *log) {
    log->held = true;
    log->held_id = log->next_id;
}

void event_log_release(struct event_log *log) {
    log->held = false;
    publish(log);
}

/* Cuts off what follows `size`. */
static void cut_at(struct event_log *log, int64_t size) {
    log->size = log->visible = size;
    if (log->fd < 0)
        log->text.length = (size_t)size;
    else if (ftruncate(log->fd, size) < 0 || lseek(log->fd, size, SEEK_SET) < 0)
        fault_errno(&log->fault, "cannot repair the event log");
}

void event_log_rollback(struct event_log *log) {
    if (log->held) {
        cut_at(log, log->visible);
        log->next_id = log->held_id;
    }
    log->held = false;
}

void event_log_finish(struct event_log *log) {
    log->finished = true;
    event_log_release(log);
    wake_all(log);
}

const char *event_log_text(const struct event_log *log, size_t *length) {
    *length = (size_t)log->size;
    return log->fd >= 0 ? NULL : log->text.data ? log->text.data : "";
}

bool event_log_in_file(const struct event_log *log) {
    return log->fd >= 0;
}

int event_log_sync(struct event_log *log, struct fault *f) {
    if (log->fd >= 0 && fsync(log->fd) < 0)
        return fault_errno(f, "cannot sync the event log");
    return 0;
}

bool event_is(const struct event_line *line, const char *type) {
    return line->type_length == strlen(type) &&
           memcmp(line->type, type, line->type_length) == 0;
}

void event_subscribe(struct event_log *log, struct event_subscriber *s) {
    s->next = log->subscribers;
    log->subscribers = s;
}

void event_unsubscribe(struct event_log *log, struct event_subscriber *s) {
    struct event_subscriber **p = &log->subscribers;
    while (*p && *p != s)
        p = &(*p)->next;
    if (*p)
        *p = s->next;
}

/* ---- reading ---- */

struct event_reader {
    struct event_log *log;
    int64_t offset; /* of the next line */
    int64_t limit;  /* frozen: where it ends; else -1 */
    char *chunk;    /* part of the file, from chunk_offset on */
    int64_t chunk_offset;
    size_t chunk_length, chunk_capacity;
};

/* Moves *p past `word`, or to NULL. */
static void skip_word(const char **p, const char *end, const char *word) {
    size_t n = strlen(word);
    if (*p && (size_t)(end - *p) >= n && memcmp(*p, word, n) == 0)
        *p += n;
    else
        *p = NULL;
}

static int64_t take_number(const char **p, const char *end) {
    int64_t value = 0;
    const char *digits = *p;
    while (*p && *p < end && **p >= '0' && **p <= '9' && *p - digits < 18)
        value = value * 10 + (*(*p)++ - '0');
    if (*p == digits)
        *p = NULL;
    return value;
}

/* The head that event_begin() wrote. False for anything else (a file that was
 * damaged). */
static bool parse_line(const char *text, size_t length,
                       struct event_line *out) {
    const char *p = text, *end = text + length;
    skip_word(&p, end, "{\"id\":");
    out->id = take_number(&p, end);
    skip_word(&p, end, ",\"ts\":\"");
    p = p ? memchr(p, '"', (size_t)(end - p)) : NULL;
    skip_word(&p, end, "\",\"spid\":");
    out->spid = (int)take_number(&p, end);
    skip_word(&p, end, ",\"type\":\"");
    const char *quote = p ? memchr(p, '"', (size_t)(end - p)) : NULL;
    if (!quote)
        return false;
    out->text = text;
    out->length = length;
    out->type = p;
    out->type_length = (size_t)(quote - p);
    return true;
}

static bool grow_chunk(struct event_reader *r) {
    size_t capacity = r->chunk_capacity ? r->chunk_capacity * 2 : READ_BYTES;
    if (capacity > LINE_MAX_BYTES)
        return false;
    char *chunk = realloc(r->chunk, capacity);
    if (!chunk)
        return false;
    r->chunk = chunk;
    r->chunk_capacity = capacity;
    return true;
}

static bool read_chunk(struct event_reader *r, int64_t offset, int64_t end) {
    size_t wanted = r->chunk_capacity, done = 0;
    if ((int64_t)wanted > end - offset)
        wanted = (size_t)(end - offset);
    while (done < wanted) {
        ssize_t n = pread(r->log->fd, r->chunk + done, wanted - done,
                          offset + (int64_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        done += (size_t)n;
    }
    r->chunk_offset = offset;
    r->chunk_length = done;
    return true;
}

/* The bytes of the line at `offset` in the file; NULL when it is broken. */
static const char *file_line(struct event_reader *r, int64_t offset,
                             int64_t end, size_t *length) {
    for (;;) {
        int64_t skip = offset - r->chunk_offset;
        if (r->chunk && skip >= 0 && skip < (int64_t)r->chunk_length) {
            const char *start = r->chunk + skip;
            size_t left = r->chunk_length - (size_t)skip;
            const char *newline = memchr(start, '\n', left);
            if (newline) {
                *length = (size_t)(newline - start);
                return start;
            }
            if (r->chunk_offset + (int64_t)r->chunk_length >= end ||
                (skip == 0 && !grow_chunk(r)))
                return NULL;
        } else if (!r->chunk && !grow_chunk(r)) {
            return NULL;
        }
        if (!read_chunk(r, offset, end))
            return NULL;
    }
}

static const char *line_at(struct event_reader *r, int64_t offset, int64_t end,
                           size_t *length) {
    if (r->log->fd >= 0)
        return file_line(r, offset, end, length);
    const char *start = r->log->text.data + offset;
    const char *newline = memchr(start, '\n', (size_t)(end - offset));
    *length = newline ? (size_t)(newline - start) : 0;
    return newline ? start : NULL;
}

static int64_t reader_end(const struct event_reader *r) {
    return r->limit >= 0 ? r->limit : r->log->visible;
}

/* Ids grow with the offset, so the first line after `id` is found by halves:
 * `low` is always the start of a line. */
static int64_t seek_block(struct event_reader *r, int64_t id, int64_t end) {
    int64_t low = 0, high = end;
    struct event_line line;
    size_t length;
    while (high - low > READ_BYTES) {
        int64_t middle = low + (high - low) / 2;
        if (!line_at(r, middle, end, &length))
            break;
        int64_t start = middle + (int64_t)length + 1;
        const char *text =
            start < high ? line_at(r, start, end, &length) : NULL;
        if (text && parse_line(text, length, &line) && line.id <= id)
            low = start;
        else
            high = middle;
    }
    return low;
}

static void seek_after(struct event_reader *r, int64_t id) {
    int64_t end = reader_end(r);
    struct event_line line;
    size_t length;
    r->offset = seek_block(r, id, end);
    while (r->offset < end) {
        const char *text = line_at(r, r->offset, end, &length);
        if (!text || !parse_line(text, length, &line) || line.id > id)
            break;
        r->offset += (int64_t)length + 1;
    }
}

struct event_reader *event_reader_new(struct event_log *log, int64_t after_id,
                                      bool frozen) {
    struct event_reader *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->log = event_log_ref(log);
    r->limit = frozen ? log->visible : -1;
    if (after_id >= 0)
        seek_after(r, after_id);
    return r;
}

void event_reader_free(struct event_reader *r) {
    if (!r)
        return;
    event_log_unref(r->log);
    free(r->chunk);
    free(r);
}

enum event_status event_next(struct event_reader *r, struct event_line *out) {
    int64_t end = reader_end(r);
    size_t length;
    if (r->offset >= end)
        return r->limit >= 0 || r->log->finished ? EVENT_END : EVENT_NONE_YET;
    const char *text = line_at(r, r->offset, end, &length);
    if (!text || !parse_line(text, length, out))
        return EVENT_BROKEN;
    r->offset += (int64_t)length + 1;
    return EVENT_LINE;
}

bool event_log_is_cut(struct event_log *log) {
    struct event_reader r = {.log = log, .limit = log->visible};
    struct event_line line;
    bool complete = false;
    r.offset = seek_block(&r, INT64_MAX, log->visible);
    while (event_next(&r, &line) == EVENT_LINE) {
        complete = event_is(&line, "completion");
        log->next_id = line.id + 1;
    }
    free(r.chunk);
    if (!complete)
        cut_at(log, r.offset);
    return !complete;
}
