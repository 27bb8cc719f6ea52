/* buffer.c: see buffer.h. */
#define _GNU_SOURCE
#include "base/buffer.h"
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buffer_init(struct buffer *b, size_t maximum) {
    *b = (struct buffer){.maximum = maximum};
}

static bool buffer_fail(struct buffer *b) {
    free(b->data);
    b->data = NULL;
    b->length = b->capacity = 0;
    b->failed = true;
    return false;
}

/* Makes room for `more` bytes and the final NUL. */
static bool buffer_reserve(struct buffer *b, size_t more) {
    if (b->failed || more > b->maximum - b->length)
        return buffer_fail(b);
    size_t need = b->length + more + 1;
    if (need == 0) /* maximum is SIZE_MAX and all of it is asked for */
        return buffer_fail(b);
    if (need <= b->capacity)
        return true;
    size_t capacity = b->capacity < 128 ? 128 : b->capacity;
    while (capacity < need)
        capacity = capacity > SIZE_MAX / 2 ? need : capacity * 2;
    char *data = realloc(b->data, capacity);
    if (!data)
        return buffer_fail(b);
    b->data = data;
    b->capacity = capacity;
    return true;
}

bool buffer_add(struct buffer *b, const void *data, size_t length) {
    if (!buffer_reserve(b, length))
        return false;
    if (length)
        memcpy(b->data + b->length, data, length);
    b->length += length;
    b->data[b->length] = 0;
    return true;
}

bool buffer_addf(struct buffer *b, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (length < 0 || !buffer_reserve(b, (size_t)length))
        return buffer_fail(b);
    va_start(args, format);
    vsnprintf(b->data + b->length, (size_t)length + 1, format, args);
    va_end(args);
    b->length += (size_t)length;
    return true;
}

char *buffer_take(struct buffer *b) {
    /* An empty buffer gives "", so that NULL means failure only. */
    if (!b->data && !buffer_reserve(b, 0))
        return NULL;
    b->data[b->length] = 0;
    char *data = b->data;
    b->data = NULL;
    b->length = b->capacity = 0;
    return data;
}

void buffer_free(struct buffer *b) {
    free(b->data);
    b->data = NULL;
    b->length = b->capacity = 0;
}

void buffer_wipe(struct buffer *b) {
    if (b->data)
        explicit_bzero(b->data, b->capacity);
    buffer_free(b);
}
