/* event_reader.c: reading event logs; see events.h. */
#define _GNU_SOURCE
#include "base/fd.h"
#include "base/json.h"
#include "operation/event_log.h"
#include "operation/events.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_BYTES = 128 * 1024 };

struct event_reader {
    struct event_log *log;
    int64_t offset; /* of the next line */
    int64_t limit;  /* frozen: where the reader ends; else -1 */
    char *chunk;    /* part of the file, from chunk_offset on */
    int64_t chunk_offset;
    size_t chunk_length, chunk_capacity;
    struct buffer whole; /* of event_expand() */
};

/* Move *p past `word`, or set it to NULL. */
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

/* Parse the place in the spool, if the line has one: `p` is behind its type. */
static bool parse_place(const char *p, const char *end,
                        struct event_line *out) {
    out->raw_length = 0;
    skip_word(&p, end, "\",\"data\":{\"");
    const char *input = p;
    skip_word(&p, end, "spool\":");
    skip_word(&input, end, "input\":");
    out->spool = input ? INPUT_SPOOL : OUTPUT_SPOOL;
    p = input ? input : p;
    if (!p)
        return true;
    out->raw_at = take_number(&p, end);
    skip_word(&p, end, ",\"length\":");
    out->raw_length = (size_t)take_number(&p, end);
    skip_word(&p, end, "}}");
    return p == end && out->raw_length - 1 < EVENT_BYTES_MAX;
}

/* Parse the head that event_begin() wrote. False: the file is damaged. */
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
    return parse_place(quote, end, out);
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
    size_t wanted = r->chunk_capacity;
    if ((int64_t)wanted > end - offset)
        wanted = (size_t)(end - offset);
    r->chunk_offset = offset;
    r->chunk_length = 0;
    if (pread_all(r->log->fd, r->chunk, wanted, offset) < 0)
        return false;
    r->chunk_length = wanted;
    return true;
}

/* Return the line at `offset` in the file; NULL: the file is damaged. */
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

/* Ids grow with the offset, so a binary search finds the first line after `id`.
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
    buffer_free(&r->whole);
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

bool event_raw(const struct event_reader *r, const struct event_line *line,
               size_t at, char *out, size_t length) {
    int fd = r->log->spools[line->spool].fd;
    return fd >= 0 &&
           pread_all(fd, out, length, line->raw_at + (int64_t)at) == 0;
}

static bool is_in_spool(const struct event_log *log,
                        const struct event_line *line) {
    return line->raw_at + (int64_t)line->raw_length <=
           log->spools[line->spool].used;
}

bool event_is_spooled(const struct event_reader *r,
                      const struct event_line *line) {
    return is_in_spool(r->log, line);
}

bool event_is_output(const struct event_line *line) {
    return line->spool == OUTPUT_SPOOL;
}

bool event_name_spool(const struct event_reader *r, struct buffer *out) {
    char link[64], path[PATH_MAX];
    struct stat st;
    int fd = r->log->spools[OUTPUT_SPOOL].fd;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path);
    return n > 0 && n < (ssize_t)sizeof path && fstat(fd, &st) == 0 &&
           buffer_addf(out, "%ju.%ju %.*s", (uintmax_t)st.st_dev,
                       (uintmax_t)st.st_ino, (int)n, path);
}

bool event_expand(struct event_reader *r, struct event_line *line) {
    char data[EVENT_BYTES_MAX];
    struct buffer *b = &r->whole;
    if (!line->raw_length)
        return true;
    if (!event_raw(r, line, 0, data, line->raw_length))
        return false;
    buffer_free(b);
    buffer_init(b, LINE_MAX_BYTES);
    size_t head = (size_t)(line->type + line->type_length - line->text);
    buffer_add(b, line->text, head);
    buffer_addf(b, "\",\"data\":{");
    json_add_stream(b, data, line->raw_length);
    json_close(b, '}');
    json_close(b, '}');
    json_end(b);
    line->text = b->data;
    line->length = b->length;
    line->type = b->data + (head - line->type_length);
    line->raw_length = 0;
    return !b->failed;
}

/* ---- repair ---- */

/* Go to the first line whose bytes are not in the spool. After a power cut the
 * log may have got further on its way to the disk. */
static void seek_lost(struct event_reader *r) {
    struct event_line line;
    int64_t before = r->offset = 0;
    r->log->next_id = 0;
    while (event_next(r, &line) == EVENT_LINE &&
           (!line.raw_length || is_in_spool(r->log, &line))) {
        r->log->next_id = line.id + 1;
        before = r->offset;
    }
    r->offset = before;
}

bool event_log_is_cut(struct event_log *log) {
    struct event_reader r = {.log = log, .limit = log->visible};
    struct event_line line;
    bool complete = false, lost = false;
    r.offset = seek_block(&r, INT64_MAX, log->visible);
    while (event_next(&r, &line) == EVENT_LINE) {
        complete = event_is(&line, "completion");
        lost = lost || (line.raw_length && !is_in_spool(log, &line));
        log->next_id = line.id + 1;
    }
    if (!complete && lost)
        seek_lost(&r);
    free(r.chunk);
    if (!complete)
        event_log_cut(log, r.offset);
    return !complete;
}
