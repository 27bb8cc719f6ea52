/* events.c: see events.h. */
#define _GNU_SOURCE
#include "operation/events.h"
#include "base/clock.h"
#include "base/descriptor.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/log.h"
#include "operation/event_log.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct event_log *event_log_new(int dir_fd, const char *uuid) {
    struct event_log *log = calloc(1, sizeof *log);
    if (!log)
        return NULL;
    log->references = 1;
    log->dir_fd = dir_fd;
    log->fd = -1;
    for (int i = 0; i < SPOOLS; i++)
        log->spools[i].fd = -1;
    memcpy(log->uuid, uuid, UUID_SIZE);
    buffer_init(&log->text, EVENTS_IN_MEMORY + LINE_MAX_BYTES);
    return log;
}

int64_t event_log_last(const struct event_log *log) {
    return log->next_id - 1;
}

struct event_log *event_log_ref(struct event_log *log) {
    log->references++;
    return log;
}

void event_log_unref(struct event_log *log) {
    if (!log || --log->references > 0)
        return;
    drop_fd(&log->fd);
    for (int i = 0; i < SPOOLS; i++)
        drop_fd(&log->spools[i].fd);
    buffer_free(&log->text);
    free(log);
}

static void file_name(const struct event_log *log, const char *kind,
                      char out[64]) {
    snprintf(out, 64, "e/%s.%s", log->uuid, kind);
}

static int open_file(const struct event_log *log, const char *kind, int flags) {
    char name[64];
    file_name(log, kind, name);
    return openat(log->dir_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags,
                  0600);
}

static const char *const spool_kinds[SPOOLS] = {"raw", "in"};

static void load_spool(struct event_log *log, int n) {
    struct spool *spool = &log->spools[n];
    struct stat st;
    spool->fd = open_file(log, spool_kinds[n], 0);
    if (spool->fd >= 0 && fstat(spool->fd, &st) == 0)
        spool->used = st.st_size;
}

static int load_file(struct event_log *log, struct fault *f) {
    struct stat st;
    log->fd = open_file(log, "log", 0);
    if (log->fd < 0 && errno == ENOENT)
        return 0;
    if (log->fd < 0 || fstat(log->fd, &st) < 0)
        return fault_errno(f, "cannot open the event log of operation %s",
                           log->uuid);
    log->size = st.st_size;
    for (int i = 0; i < SPOOLS; i++)
        load_spool(log, i);
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

/* Show readers what was appended. */
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

/* Write all of the text to the file, or leave the file as it was. */
static int flush_text(struct event_log *log) {
    if (write_all(log->fd, log->text.data, log->text.length) < 0) {
        fault_errno(&log->fault, "cannot write the event log");
        /* No line may follow a torn one. */
        if (ftruncate(log->fd, log->size) < 0)
            log_line("event log of %s: torn line", log->uuid);
        return -1;
    }
    log->size += (int64_t)log->text.length;
    log->text.length = 0;
    return 0;
}

/* Move the log from memory to its file. */
static int spill(struct event_log *log) {
    char name[64];
    file_name(log, "log", name);
    if (mkdirat(log->dir_fd, "e", 0700) < 0 && errno != EEXIST)
        return fault_errno(&log->fault, "cannot make the event log directory");
    int fd = open_file(log, "log", O_CREAT | O_EXCL);
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

/* Drop the line being written. A buffer that failed lost all lines. */
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

/* ---- streams ---- */

enum {
    /* A piece so small is JSON in its line, which is no longer than one that
     * says where it is. */
    SPOOL_MIN = 256
};

/* Whether the next piece may go to the spool. It is opened at the first. */
static bool has_spool(struct event_log *log, int n) {
    struct spool *spool = &log->spools[n];
    if (log->fd < 0 || log->fault.status)
        return false;
    if (spool->fd < 0)
        spool->fd = open_file(log, spool_kinds[n], O_CREAT | O_TRUNC);
    return spool->fd >= 0;
}

static void add_place(struct event_log *log, const char *type, int spid,
                      const char *spool, int64_t at, size_t length) {
    while (length) {
        size_t n = length < EVENT_BYTES_MAX ? length : EVENT_BYTES_MAX;
        struct buffer *b = event_begin(log, type, spid);
        json_add_int(b, spool, at);
        json_add_int(b, "length", (int64_t)n);
        event_end(log);
        at += (int64_t)n;
        length -= n;
    }
}

void event_add_input(struct event_log *log, int spid, int64_t at,
                     size_t length) {
    add_place(log, "stdin", spid, "input", at, length);
}

/* Use so many bytes of a spool, and return where they are. */
static int64_t reserve(struct event_log *log, int n, size_t length) {
    int64_t at = log->spools[n].used;
    log->spools[n].used += (int64_t)length;
    return at;
}

static void add_output(struct event_log *log, const char *type, int spid,
                       size_t length) {
    add_place(log, type, spid, "spool", reserve(log, OUTPUT_SPOOL, length),
              length);
}

void event_add_stream(struct event_log *log, const char *type, int spid,
                      const void *data, size_t length) {
    const struct spool *spool = &log->spools[OUTPUT_SPOOL];
    if (length < SPOOL_MIN || !has_spool(log, OUTPUT_SPOOL)) {
        json_add_stream(event_begin(log, type, spid), data, length);
        event_end(log);
    } else if (pwrite_all(spool->fd, data, length, spool->used) < 0) {
        event_log_break(log, "cannot write the event log");
    } else {
        add_output(log, type, spid, length);
    }
}

ssize_t event_splice(struct event_log *log, const char *type, int spid,
                     int pipe, size_t most) {
    const struct spool *spool = &log->spools[OUTPUT_SPOOL];
    if (!has_spool(log, OUTPUT_SPOOL)) {
        errno = EINVAL;
        return -1;
    }
    off_t at = spool->used;
    ssize_t n = splice(pipe, NULL, spool->fd, &at, most, 0);
    if (n > 0)
        add_output(log, type, spid, (size_t)n);
    return n;
}

int event_input(struct event_log *log, struct fault *f) {
    bool moved = log->fault.status || log->fd >= 0 || spill(log) == 0;
    int fd = moved && has_spool(log, INPUT_SPOOL)
                 ? open_file(log, spool_kinds[INPUT_SPOOL], 0)
                 : -1;
    if (fd < 0)
        *f = log->fault;
    if (fd < 0 && !f->status)
        fault_errno(f, "cannot open the event log");
    return fd;
}

int64_t event_reserve_input(struct event_log *log, size_t length) {
    return reserve(log, INPUT_SPOOL, length);
}

void event_log_break(struct event_log *log, const char *what) {
    if (!log->fault.status)
        fault_errno(&log->fault, "%s", what);
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

void event_log_cut(struct event_log *log, int64_t size) {
    log->size = log->visible = size;
    if (log->fd < 0)
        log->text.length = (size_t)size;
    else if (ftruncate(log->fd, size) < 0 || lseek(log->fd, size, SEEK_SET) < 0)
        fault_errno(&log->fault, "cannot repair the event log");
}

void event_log_rollback(struct event_log *log) {
    if (log->held) {
        event_log_cut(log, log->visible);
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
    bool ok = true;
    for (int i = 0; i < SPOOLS; i++)
        ok = ok && (log->spools[i].fd < 0 || fdatasync(log->spools[i].fd) == 0);
    if (!ok || (log->fd >= 0 && fsync(log->fd) < 0))
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
