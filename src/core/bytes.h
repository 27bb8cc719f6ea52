/* bytes.h: a growable byte string, the only way this module builds one. */
#ifndef CONTREE_BYTES_H
#define CONTREE_BYTES_H

#include <stdbool.h>
#include <stddef.h>

#pragma GCC visibility push(hidden)

/* Empty when all zero. Free with bytes_free(), which leaves it empty. */
struct bytes {
    char *data;
    size_t length;
    size_t capacity;
};

/* Makes room for `extra` more bytes; false when there is no memory. */
bool bytes_reserve(struct bytes *bytes, size_t extra);
/* Adds `size` bytes; false (and unchanged) when there is no memory. */
bool bytes_append(struct bytes *bytes, const void *data, size_t size);
/* Drops the first `size` bytes; size <= length. */
void bytes_consume(struct bytes *bytes, size_t size);
void bytes_free(struct bytes *bytes);

#pragma GCC visibility pop

#endif
