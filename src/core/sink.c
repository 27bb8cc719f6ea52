#define _GNU_SOURCE /* mkostemp */
#include "sink.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

void sink_init(struct sink *sink) {
    *sink = (struct sink){.kind = SINK_STRING,
                          .max_body = 64 * 1024 * 1024,
                          .high_water = 1024 * 1024,
                          .fd = -1,
                          .mode = 0600};
    sse_init(&sink->sse);
    records_init(&sink->records);
}

static bool file_failed(struct sink *sink, struct transfer_error *error) {
    return fail(error, "file", "%s: %s", sink->path, strerror(errno));
}

static bool no_memory(struct transfer_error *error) {
    return fail(error, "other", "not enough memory");
}

/* A hidden name beside the target, so that rename() stays in one file
 * system: DIRECTORY/.NAME.XXXXXX */
static char *temporary_name(const char *path) {
    const char *slash = strrchr(path, '/');
    size_t directory = slash ? (size_t)(slash + 1 - path) : 0;
    size_t size = strlen(path) + sizeof "..XXXXXX";
    char *name = malloc(size);
    if (name)
        snprintf(name, size, "%.*s.%s.XXXXXX", (int)directory, path,
                 path + directory);
    return name;
}

bool sink_open(struct sink *sink, struct transfer_error *error) {
    if (sink->kind != SINK_FILE)
        return true;
    sink->temporary = temporary_name(sink->path);
    if (!sink->temporary)
        return no_memory(error);
    sink->fd = mkostemp(sink->temporary, O_CLOEXEC);
    if (sink->fd < 0) {
        free(sink->temporary);
        sink->temporary = NULL;
        return file_failed(sink, error);
    }
    if (fchmod(sink->fd, sink->mode) < 0)
        return file_failed(sink, error);
    return true;
}

static void discard_file(struct sink *sink, bool forked) {
    if (sink->fd >= 0)
        close(sink->fd);
    sink->fd = -1;
    if (sink->temporary && !forked)
        unlink(sink->temporary);
    free(sink->temporary);
    sink->temporary = NULL;
}

static bool begin_decoding(struct sink *sink, const struct response_head *head,
                           struct transfer_error *error) {
    size_t size = 0;
    const char *coding = head_find(head, "content-encoding", &size);
    if (!coding || size == 0 ||
        (size == 8 && strncasecmp(coding, "identity", 8) == 0))
        return true;
    if ((size != 4 || strncasecmp(coding, "gzip", 4) != 0) &&
        (size != 6 || strncasecmp(coding, "x-gzip", 6) != 0))
        return fail(error, "protocol",
                    "the body has the unknown content-encoding '%.*s'",
                    size < 64 ? (int)size : 64, coding);
    sink->inflater = inflater_new();
    return sink->inflater || no_memory(error);
}

static bool too_large(struct sink *sink, struct transfer_error *error) {
    bytes_free(&sink->bytes); /* a part of the body is of no use */
    return fail(error, "too_large", "the body is larger than %zu bytes",
                sink->max_body);
}

bool sink_begin(struct sink *sink, const struct response_head *head,
                struct transfer_error *error) {
    bool success = head->status >= 200 && head->status < 300;
    static const char records[] = "application/vnd.contree.records";
    size_t size = 0;
    const char *type = head_find(head, "content-type", &size);
    sink->has_records =
        type && size == strlen(records) && memcmp(type, records, size) == 0;
    const char *length = head_find(head, "content-length", &size);
    sink->as_string =
        sink->kind == SINK_STRING || (!success && sink->kind != SINK_CHUNKS);
    if (sink->kind == SINK_FILE && !success)
        discard_file(sink, false);
    if (!begin_decoding(sink, head, error))
        return false;
    if (length && !sink->inflater)
        sink->announced = strtoull(length, NULL, 10);
    return true;
}

static bool file_write(struct sink *sink, const char *data, size_t size,
                       struct transfer_error *error) {
    while (size > 0) {
        ssize_t n = write(sink->fd, data, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return file_failed(sink, error);
        data += n;
        size -= (size_t)n;
    }
    return true;
}

/* Stores decoded bytes. */
static bool store(struct sink *sink, const char *data, size_t size,
                  struct transfer_error *error) {
    if (sink->as_string && (sink->announced > sink->max_body ||
                            size > sink->max_body - sink->bytes.length))
        return too_large(sink, error);
    if (sink->digest)
        digest_add(sink->digest, data, size);
    if (sink->as_string || sink->kind == SINK_CHUNKS)
        return bytes_append(&sink->bytes, data, size) || no_memory(error);
    if (sink->kind == SINK_FILE)
        return file_write(sink, data, size, error);
    if (sink->has_records)
        return records_feed(&sink->records, data, size, error);
    return sse_feed(&sink->sse, data, size) ||
           fail(error, "too_large", "%s", sink->sse.error);
}

static bool decode(struct sink *sink, const char *data, size_t size,
                   struct transfer_error *error) {
    char out[32 * 1024];
    size_t length = sizeof out;
    enum inflate_status status;
    inflater_give(sink->inflater, data, size);
    while ((status = inflater_take(sink->inflater, out, &length)) ==
           INFLATE_OUTPUT) {
        if (!store(sink, out, length, error))
            return false;
        length = sizeof out;
    }
    return status == INFLATE_MORE ||
           fail(error, "protocol", "the gzip body is damaged");
}

bool sink_write(struct sink *sink, const char *data, size_t size,
                struct transfer_error *error) {
    return sink->inflater ? decode(sink, data, size, error)
                          : store(sink, data, size, error);
}

size_t sink_held(const struct sink *sink) {
    if (sink->as_string)
        return 0;
    return sink->kind == SINK_CHUNKS ? sink->bytes.length
           : sink->has_records       ? sink->records.queued
                                     : sink->sse.queued;
}

static bool file_finish(struct sink *sink, struct transfer_error *error) {
    int fd = sink->fd;
    sink->fd = -1;
    if (close(fd) < 0 || rename(sink->temporary, sink->path) < 0)
        return file_failed(sink, error);
    free(sink->temporary);
    sink->temporary = NULL;
    return true;
}

bool sink_finish(struct sink *sink, struct transfer_error *error) {
    if (sink->inflater && sink->inflater->begun)
        return fail(error, "protocol", "the gzip body was cut short");
    return !sink->temporary || file_finish(sink, error);
}

void sink_close(struct sink *sink, bool forked) {
    inflater_free(sink->inflater);
    sink->inflater = NULL;
    discard_file(sink, forked);
    records_end(&sink->records);
}

void sink_free(struct sink *sink) {
    sink_close(sink, true);
    bytes_free(&sink->bytes);
    sse_free(&sink->sse);
    sse_init(&sink->sse);
    records_free(&sink->records);
    records_init(&sink->records);
    digest_free(sink->digest);
    free(sink->path);
    sink->digest = NULL;
    sink->path = NULL;
}
