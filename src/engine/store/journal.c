/* journal.c: see journal.h. */
#define _GNU_SOURCE
#include "store/journal.h"
#include "base/clock.h"
#include "base/descriptor.h"
#include "base/fd.h"
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { JOURNAL_BYTES = 256 << 10, VERSION = 1 };

/* Error, tag and metadata follow, each with its NUL, then the log. The first
 * four members are the same in every version, so that each engine can tell a
 * whole record of a newer one from a torn one. */
struct record {
    uint64_t check; /* of all that follows */
    int64_t round;
    uint32_t version, length; /* with this head; a multiple of 8 */
    int64_t created, finished, memory, image_size;
    double cpu;
    char uuid[UUID_SIZE], image[UUID_SIZE], result_image[UUID_SIZE];
    char kind[20], status[20];
    uint32_t error, tag, metadata; /* bytes; 0: NULL */
    uint32_t log;
};

static uint64_t checksum(const struct record *r) {
    const char *p = (const char *)&r->round, *end = (const char *)r + r->length;
    uint64_t sum = 0xcbf29ce484222325, word; /* FNV-1a of words */
    for (; p < end; p += sizeof word) {
        memcpy(&word, p, sizeof word);
        sum = (sum ^ word) * 0x100000001b3;
    }
    return sum;
}

/* ---- writing ---- */

static uint32_t text_bytes(const char *text) {
    return text ? (uint32_t)strlen(text) + 1 : 0;
}

static char *put(char *at, const char *text, uint32_t bytes) {
    if (bytes)
        memcpy(at, text, bytes);
    return at + bytes;
}

bool journal_add(struct journal *j, const struct operation_row *o,
                 const char *log, size_t log_length) {
    struct record *r = (struct record *)(void *)(j->data + j->length);
    uint32_t error = text_bytes(o->error), tag = text_bytes(o->tag),
             metadata = text_bytes(o->metadata);
    size_t length = sizeof *r + error + tag + metadata + 7;
    if (!log || log_length > JOURNAL_BYTES || length > JOURNAL_BYTES)
        return false;
    length = (length + log_length) & ~(size_t)7;
    if (length > JOURNAL_BYTES - j->length)
        return false;
    memset(r, 0, length);
    r->round = j->round;
    r->version = VERSION;
    r->length = (uint32_t)length;
    r->created = o->created;
    r->finished = o->finished;
    r->memory = o->consumed_memory;
    r->image_size = o->image_size;
    r->cpu = o->consumed_cpu;
    memcpy(r->uuid, o->uuid, UUID_SIZE);
    memcpy(r->image, o->image, UUID_SIZE);
    memcpy(r->result_image, o->result_image, UUID_SIZE);
    strncpy(r->kind, o->kind, sizeof r->kind - 1);
    strncpy(r->status, o->status, sizeof r->status - 1);
    r->error = error;
    r->tag = tag;
    r->metadata = metadata;
    r->log = (uint32_t)log_length;
    char *at = put((char *)(r + 1), o->error, error);
    at = put(at, o->tag, tag);
    at = put(at, o->metadata, metadata);
    put(at, log, r->log);
    r->check = checksum(r);
    if (pwrite_all(j->fd, r, length, (off_t)j->length) < 0)
        return false;
    j->length += length;
    j->count++;
    return true;
}

void journal_clear(struct journal *j) {
    static const struct record none;
    j->length = j->count = 0;
    j->round = wall_microseconds();
    /* If this fails, a killed engine finds records that the database has. */
    (void)!pwrite(j->fd, &none, sizeof none, 0);
}

/* ---- reading ---- */

/* The record at an offset, of whatever version, or NULL where the journal
 * ends. */
static const struct record *record_at(const char *data, size_t size,
                                      size_t at) {
    const struct record *r = (const struct record *)(const void *)(data + at);
    size_t head = offsetof(struct record, created);
    if (size - at < head || r->length < head || r->length > size - at ||
        r->length % 8 || checksum(r) != r->check)
        return NULL;
    return r;
}

static bool has_end(const char *text, size_t size) {
    return size == 0 || memchr(text, '\0', size);
}

/* Whether all texts of a record are in it, and end. */
static bool is_whole(const struct record *r) {
    const char *at = (const char *)(r + 1);
    if (sizeof *r + (uint64_t)r->error + r->tag + r->metadata + r->log >
        r->length)
        return false;
    return has_end(r->kind, sizeof r->kind) &&
           has_end(r->status, sizeof r->status) &&
           has_end(r->uuid, UUID_SIZE) && has_end(r->image, UUID_SIZE) &&
           has_end(r->result_image, UUID_SIZE) && has_end(at, r->error) &&
           has_end(at + r->error, r->tag) &&
           has_end(at + r->error + r->tag, r->metadata);
}

static bool is_ours(const struct record *r) {
    return r->version == VERSION && r->length >= sizeof *r && is_whole(r);
}

static char *get(const char **at, uint32_t bytes) {
    const char *text = bytes ? *at : NULL;
    *at += bytes;
    return (char *)text;
}

int journal_each(const struct journal *j,
                 int (*visit)(void *arg, const struct operation_row *o,
                              const char *log, size_t log_length),
                 void *arg) {
    for (size_t at = 0; at < j->length;) {
        const struct record *r =
            (const struct record *)(const void *)(j->data + at);
        const char *text = (const char *)(r + 1);
        struct operation_row o = {.kind = r->kind,
                                  .status = r->status,
                                  .created = r->created,
                                  .finished = r->finished,
                                  .consumed_cpu = r->cpu,
                                  .consumed_memory = r->memory,
                                  .image_size = r->image_size};
        memcpy(o.uuid, r->uuid, UUID_SIZE);
        memcpy(o.image, r->image, UUID_SIZE);
        memcpy(o.result_image, r->result_image, UUID_SIZE);
        o.error = get(&text, r->error);
        o.tag = get(&text, r->tag);
        o.metadata = get(&text, r->metadata);
        if (visit(arg, &o, text, r->log) < 0)
            return -1;
        at += r->length;
    }
    return 0;
}

/* Finds how much of the file is of the last round. */
static int find_end(struct journal *j, size_t size, struct fault *f) {
    const struct record *r;
    while ((r = record_at(j->data, size, j->length))) {
        if (j->count == 0)
            j->round = r->round;
        if (r->round != j->round)
            break;
        /* To go on would write over what a newer engine has told. */
        if (r->version > VERSION) {
            j->length = j->count = 0;
            return fault_set(f, 500,
                             "contree.db-ended in the data directory was made "
                             "by a newer contree-engine (version %u, this one "
                             "knows %d): use that one, or another data "
                             "directory",
                             r->version, VERSION);
        }
        if (!is_ours(r))
            break;
        j->length += r->length;
        j->count++;
    }
    return 0;
}

int journal_open(struct journal *j, int dir_fd, struct fault *f) {
    struct stat st;
    j->fd = openat(dir_fd, "contree.db-ended",
                   O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    j->data = calloc(1, JOURNAL_BYTES);
    if (!j->data)
        return fault_memory(f);
    if (j->fd < 0 || fstat(j->fd, &st) < 0)
        return fault_errno(f, "contree.db-ended in the data directory");
    size_t size =
        st.st_size < JOURNAL_BYTES ? (size_t)st.st_size : (size_t)JOURNAL_BYTES;
    if (pread_all(j->fd, j->data, size, 0) < 0)
        return fault_errno(f, "reading contree.db-ended");
    j->round = wall_microseconds();
    if (find_end(j, size, f) < 0)
        return -1;
    /* A power cut may have torn a record before whole ones. They must not come
     * back when another is written over the torn one. */
    if (j->length < size && ftruncate(j->fd, (off_t)j->length) < 0)
        return fault_errno(f, "shortening contree.db-ended");
    return 0;
}

void journal_close(struct journal *j) {
    drop_fd(&j->fd);
    free(j->data);
    j->data = NULL;
    j->length = j->count = 0;
}
