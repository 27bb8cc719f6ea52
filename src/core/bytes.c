#include "bytes.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { LARGE = 16 * 1024 * 1024 };

bool bytes_reserve(struct bytes *bytes, size_t extra) {
    size_t capacity = bytes->capacity ? bytes->capacity : 256;
    if (extra <= bytes->capacity - bytes->length)
        return true;
    if (extra > SIZE_MAX / 2 - bytes->length)
        return false;
    /* Doubling takes long steps where much is held already. */
    while (capacity < bytes->length + extra)
        capacity += capacity < LARGE ? capacity : capacity / 4;
    char *data = realloc(bytes->data, capacity);
    if (!data)
        return false;
    bytes->data = data;
    bytes->capacity = capacity;
    return true;
}

bool bytes_append(struct bytes *bytes, const void *data, size_t size) {
    if (!bytes_reserve(bytes, size))
        return false;
    if (size > 0)
        memcpy(bytes->data + bytes->length, data, size);
    bytes->length += size;
    return true;
}

void bytes_consume(struct bytes *bytes, size_t size) {
    bytes->length -= size;
    if (size > 0 && bytes->length > 0)
        memmove(bytes->data, bytes->data + size, bytes->length);
}

void bytes_free(struct bytes *bytes) {
    free(bytes->data);
    *bytes = (struct bytes){0};
}
