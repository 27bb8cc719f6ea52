/* http_lines.c: see http_lines.h. */
#define _GNU_SOURCE
#include "airlock/http_lines.h"
#include <string.h>
#include <strings.h>

bool http_is(const char *text, size_t length, const char *word) {
    return strlen(word) == length && strncasecmp(text, word, length) == 0;
}

bool http_is_blank(char c) {
    return c == ' ' || c == '\t';
}

bool http_is_token(const char *name, size_t length) {
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)name[i] <= ' ' || (unsigned char)name[i] > 0x7e ||
            strchr("()<>@,;:\\\"/[]?={}", name[i]))
            return false;
    return length > 0;
}

bool http_next_line(const struct buffer *lines, size_t *at, struct span *name,
                    struct span *value) {
    const char *text = lines->data + *at;
    size_t left = lines->length - *at;
    const char *end = left ? memmem(text, left, "\r\n", 2) : NULL;
    const char *colon = end ? memchr(text, ':', (size_t)(end - text)) : NULL;
    if (!colon)
        return false;
    *name = (struct span){*at, (size_t)(colon - text)};
    *value = (struct span){*at + name->length + 2,
                           (size_t)(end - text) - name->length - 2};
    while (value->length > 0 &&
           http_is_blank(lines->data[value->at + value->length - 1]))
        value->length--;
    *at += (size_t)(end - text) + 2;
    return true;
}
