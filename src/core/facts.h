/* facts.h: what is known of the files of a folder, and an index of them as
 * bytes: a head, then a record for each file, sorted by path. An index is read
 * by the machine that wrote it. */
#ifndef CONTREE_FACTS_H
#define CONTREE_FACTS_H

#include "bytes.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#pragma GCC visibility push(hidden)

enum { FACTS_DIGEST = 32 };

/* As the time of a change: the file is never clean. */
#define FACTS_UNSURE (INT64_MAX - ((int64_t)1 << 34))

struct facts {
    uint64_t size, inode;
    int64_t changed, touched;           /* ctime and mtime, in nanoseconds */
    uint32_t mode;                      /* with the type */
    uint32_t length;                    /* of the path, without a NUL */
    unsigned char digest[FACTS_DIGEST]; /* of the content or the target */
};

/* A record of an index. The path is followed by a NUL. */
struct record {
    struct facts facts;
    const char *path;
};

struct facts facts_of(const struct stat *status);
/* Whether a file with these facts surely has the content that it had. An index
 * is as old as `stamp`: what changed at that time or later may have changed
 * twice. */
bool facts_clean(const struct facts *old, const struct facts *now,
                 int64_t stamp);
/* The time of the clock by which the system stamps files, in nanoseconds. */
int64_t facts_now(void);
/* -1, 0 or 1, by the bytes. */
int facts_compare(const char *a, const char *b);
void facts_digest(unsigned char digest[FACTS_DIGEST], const char *hex);
void facts_hex(char hex[2 * FACTS_DIGEST + 1], const unsigned char *digest);

/* Writing; false when there is no memory. */
bool index_begin(struct bytes *out, int64_t stamp);
bool index_add(struct bytes *out, const struct facts *facts, const char *path);

/* Reading. */
struct index {
    const char *at, *end; /* the next record */
    int64_t stamp;
};

/* False when it is no index. No bytes are an empty one. */
bool index_open(struct index *index, const char *data, size_t size);
/* False at the end. A damaged index ends early. */
bool index_next(struct index *index, struct record *record);

#pragma GCC visibility pop

#endif
