/* journal.c: whatever is in the journal of a killed engine, what it gives is
 * text within it, and what is added then is found again. The first byte: mend
 * the checksums, so that damaged records are looked at; else they are the
 * input's. */
#define _GNU_SOURCE
#include "store/journal.h"
#include "../input.h"
#include <fcntl.h>
#include <unistd.h>

enum { AT_LENGTH = 20, HEAD = 208 };

/* The checksum of journal.c: each record's own, over all that follows it. */
static void mend(uint8_t *data, size_t size) {
    for (size_t at = 0; at + HEAD <= size;) {
        uint32_t length;
        uint64_t sum = 0xcbf29ce484222325, word;
        memcpy(&length, data + at + AT_LENGTH, sizeof length);
        if (length < HEAD || length % 8 || length > size - at)
            return;
        for (size_t i = at + 8; i < at + length; i += 8) {
            memcpy(&word, data + i, sizeof word);
            sum = (sum ^ word) * 0x100000001b3;
        }
        memcpy(data + at, &sum, sizeof sum);
        at += length;
    }
}

struct seen {
    size_t records, bytes; /* of the records */
    bool has_new;
};

static size_t length_of(const char *text) {
    return text ? strlen(text) : 0;
}

static int see(void *arg, const struct operation_row *o, const char *log,
               size_t log_length) {
    struct seen *s = arg;
    s->records++;
    s->bytes += length_of(o->error) + length_of(o->tag) +
                length_of(o->metadata) + log_length;
    for (size_t i = 0; i < log_length; i++)
        s->bytes += log[i] == 0;
    HOLDS(strlen(o->kind) < 20 && strlen(o->status) < 20);
    HOLDS(strlen(o->uuid) < UUID_SIZE && strlen(o->image) < UUID_SIZE &&
          strlen(o->result_image) < UUID_SIZE);
    s->has_new = strcmp(o->uuid, "new") == 0 && log_length == 4 &&
                 memcmp(log, "log\n", 4) == 0;
    return 0;
}

static int make_directory(void) {
    int dir = open(fuzz_directory("journal"), O_RDONLY | O_DIRECTORY);
    HOLDS(dir >= 0);
    return dir;
}

static void write_file(int dir, const uint8_t *data, size_t size) {
    int fd =
        openat(dir, "contree.db-ended", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    HOLDS(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    close(fd);
}

static void check(struct journal *j, int dir, size_t length) {
    struct seen s = {0}, again = {0};
    struct fault f;
    HOLDS(journal_each(j, see, &s) == 0 && s.records == j->count);
    HOLDS(s.bytes <= 2 * length);
    const struct operation_row row = {
        .uuid = "new", .kind = "instance", .status = "SUCCESS"};
    HOLDS(journal_add(j, &row, "log\n", 4));
    journal_close(j);
    HOLDS(journal_open(j, dir, &f) == 0);
    HOLDS(journal_each(j, see, &again) == 0);
    HOLDS(again.records == s.records + 1 && again.has_new);
    journal_close(j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static int dir = -1; /* made once */
    struct input in = {data, size};
    struct journal j = {.fd = -1};
    struct fault f;
    size_t length;
    if (dir < 0)
        dir = make_directory();
    bool mended = input_byte(&in) & 1;
    uint8_t *bytes = (uint8_t *)input_rest(&in, &length);
    if (mended)
        mend(bytes, length);
    write_file(dir, bytes, length);
    bool opened = journal_open(&j, dir, &f) == 0;
    /* One of a newer engine is left alone. */
    HOLDS(opened || (f.status == 500 && strstr(f.message, "newer")));
    if (opened)
        check(&j, dir, length);
    else
        journal_close(&j);
    free(bytes);
    return 0;
}
