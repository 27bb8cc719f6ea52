/* buffer.h: text and bytes that grow. */
#ifndef CONTREE_BASE_BUFFER_H
#define CONTREE_BASE_BUFFER_H

#include "base/scope.h"
#include <stdbool.h>
#include <stddef.h>

/* Growable bytes with a mandatory maximum: all text is built in one. After a
 * failed append the buffer is empty and `failed` stays true. */
struct buffer {
    char *data; /* NUL-terminated whenever not NULL */
    size_t length, capacity, maximum;
    bool failed;
};
void buffer_init(struct buffer *b, size_t maximum);
bool buffer_add(struct buffer *b, const void *data, size_t length);
bool buffer_addf(struct buffer *b, const char *format, ...) PRINTF_LIKE(2, 3);
char *buffer_take(struct buffer *b); /* caller frees; NULL if failed */
void buffer_free(struct buffer *b);
/* The same for what nobody may find in memory later. What it had before it grew
 * is not wiped. */
void buffer_wipe(struct buffer *b);

#endif
