#define _GNU_SOURCE /* mremap */
#include "bytes.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    LARGE = 16 * 1024 * 1024,
    /* From this capacity on, memory is mapped, so that it grows without being
     * copied: malloc() does so only as long as nothing as large was freed. */
    MAPPED = 4 * 1024 * 1024
};

#if defined(__linux__)

static char *resize(const struct bytes *bytes, size_t capacity) {
    char *data;
    if (capacity < MAPPED)
        return realloc(bytes->data, capacity);
    data = bytes->capacity >= MAPPED
               ? mremap(bytes->data, bytes->capacity, capacity, MREMAP_MAYMOVE)
               : mmap(NULL, capacity, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data == MAP_FAILED)
        return NULL;
    if (bytes->capacity < MAPPED && bytes->length > 0)
        memcpy(data, bytes->data, bytes->length);
    if (bytes->capacity < MAPPED)
        free(bytes->data);
    return data;
}

static void release(const struct bytes *bytes) {
    if (bytes->capacity >= MAPPED)
        munmap(bytes->data, bytes->capacity);
    else
        free(bytes->data);
}

#else

static char *resize(const struct bytes *bytes, size_t capacity) {
    return realloc(bytes->data, capacity);
}

static void release(const struct bytes *bytes) {
    free(bytes->data);
}

#endif

bool bytes_reserve(struct bytes *bytes, size_t extra) {
    size_t capacity = bytes->capacity ? bytes->capacity : 256;
    if (extra <= bytes->capacity - bytes->length)
        return true;
    if (extra > SIZE_MAX / 2 - bytes->length)
        return false;
    /* Doubling takes long steps where much is held already. */
    while (capacity < bytes->length + extra)
        capacity += capacity < LARGE ? capacity : capacity / 4;
    char *data = resize(bytes, capacity);
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
    release(bytes);
    *bytes = (struct bytes){0};
}
