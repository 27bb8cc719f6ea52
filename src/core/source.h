/* source.h: where the body of a request comes from. */
#ifndef CONTREE_SOURCE_H
#define CONTREE_SOURCE_H

#include "bytes.h"
#include "digest.h"
#include "transfer_error.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#pragma GCC visibility push(hidden)

enum source_kind {
    SOURCE_NONE,
    SOURCE_STRING, /* `bytes`, which libcurl reads by itself */
    SOURCE_FILE,
    SOURCE_CHUNKS /* `bytes`, filled by Lua while the transfer runs */
};

/* Chunks are refused while this many bytes or more wait to be sent, until less
 * than half of it waits. */
enum { SOURCE_HIGH_WATER = 1024 * 1024 };

struct source {
    enum source_kind kind;
    struct bytes bytes;
    size_t start;          /* of the unsent part of `bytes` */
    char *path;            /* FILE */
    int fd;                /* FILE, -1 while closed */
    off_t offset, length;  /* FILE: the part to send; length -1: to the end */
    off_t sent;            /* FILE: bytes read so far */
    bool finished;         /* CHUNKS: no more will come */
    bool starved;          /* CHUNKS: libcurl waits for some */
    bool refused;          /* CHUNKS: Lua waits for room */
    struct digest *digest; /* NULL unless wanted */
};

enum source_status { SOURCE_OK, SOURCE_STARVED, SOURCE_FAILED };

void source_init(struct source *source);
/* Makes it ready to read: opens the file, and determines the length. */
bool source_open(struct source *source, struct transfer_error *error);
/* Reads up to *size bytes; *size becomes 0 at the end. */
enum source_status source_read(struct source *source, char *out, size_t *size,
                               struct transfer_error *error);
/* Starts again from the first byte; false when that is impossible. */
bool source_rewind(struct source *source);
/* Bytes that wait to be sent (CHUNKS). */
size_t source_waiting(const struct source *source);
/* Adds a chunk; false when there is no memory. */
bool source_write(struct source *source, const char *data, size_t size);
/* Frees everything but the digest's result; the kind becomes SOURCE_NONE. */
void source_close(struct source *source);

#pragma GCC visibility pop

#endif
