#include "facts.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static const char magic[8] = {'c', 't', 'i', 'd', 'x', '0', '1', '\n'};

enum { SECOND = 1000000000 };

static int64_t nanoseconds(struct timespec t) {
    return (int64_t)t.tv_sec * SECOND + t.tv_nsec;
}

struct facts facts_of(const struct stat *status) {
    return (struct facts){
        .size = (uint64_t)status->st_size,
        .inode = (uint64_t)status->st_ino,
        .changed = nanoseconds(status->st_ctim),
        .touched = nanoseconds(status->st_mtim),
        .mode = (uint32_t)status->st_mode,
    };
}

int64_t facts_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    return nanoseconds(now);
}

bool facts_clean(const struct facts *old, const struct facts *now,
                 int64_t stamp) {
    /* Some file systems count seconds, or two of them. */
    int64_t grain = old->touched % SECOND == 0 ? (int64_t)2 * SECOND : 1;
    if (old->mode != now->mode)
        return false;
    if (S_ISDIR(now->mode))
        return true;
    return old->size == now->size && old->inode == now->inode &&
           old->changed == now->changed && old->touched == now->touched &&
           old->touched + grain <= stamp && old->changed + grain <= stamp;
}

int facts_compare(const char *a, const char *b) {
    int order = strcmp(a, b);
    return (order > 0) - (order < 0);
}

static unsigned digit(char c) {
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a') + 10;
}

void facts_digest(unsigned char digest[FACTS_DIGEST], const char *hex) {
    for (size_t i = 0; i < FACTS_DIGEST; i++)
        digest[i] =
            (unsigned char)(digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]));
}

void facts_hex(char hex[2 * FACTS_DIGEST + 1], const unsigned char *digest) {
    for (size_t i = 0; i < FACTS_DIGEST; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

bool index_begin(struct bytes *out, int64_t stamp) {
    return bytes_append(out, magic, sizeof magic) &&
           bytes_append(out, &stamp, sizeof stamp);
}

bool index_add(struct bytes *out, const struct facts *facts, const char *path) {
    struct facts written = *facts;
    written.length = (uint32_t)strlen(path);
    return bytes_append(out, &written, sizeof written) &&
           bytes_append(out, path, written.length + 1);
}

bool index_open(struct index *index, const char *data, size_t size) {
    *index = (struct index){.at = data, .end = data + size};
    if (size == 0)
        return true;
    if (size < sizeof magic + sizeof index->stamp ||
        memcmp(data, magic, sizeof magic) != 0)
        return false;
    memcpy(&index->stamp, data + sizeof magic, sizeof index->stamp);
    index->at += sizeof magic + sizeof index->stamp;
    return true;
}

bool index_next(struct index *index, struct record *record) {
    size_t left = (size_t)(index->end - index->at);
    if (left < sizeof record->facts)
        return false;
    memcpy(&record->facts, index->at, sizeof record->facts);
    record->path = index->at + sizeof record->facts;
    left -= sizeof record->facts;
    if (record->facts.length >= left ||
        strnlen(record->path, left) != record->facts.length)
        return false;
    index->at = record->path + record->facts.length + 1;
    return true;
}
