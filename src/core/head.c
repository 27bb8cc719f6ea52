#include "head.h"

#include <string.h>

bool head_add(struct response_head *head, const char *line, size_t size) {
    if (size >= 5 && memcmp(line, "HTTP/", 5) == 0) {
        const char *space = memchr(line, ' ', size);
        size_t left = space ? (size_t)(line + size - space) : 0;
        head->lines.length = 0;
        head->count = 0;
        head->status = 0;
        for (size_t i = 1; i < 4 && i < left; i++)
            head->status = head->status * 10 + (space[i] - '0');
        return true;
    }
    head->count++;
    return size <= HEAD_LIMIT - head->lines.length &&
           bytes_append(&head->lines, line, size);
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

struct header_field {
    const char *name, *value;
    size_t name_size, value_size;
};

/* Reads the header at *at and moves on; false at the end. */
static bool next_header(const struct response_head *head, size_t *at,
                        struct header_field *header) {
    const char *line, *end, *colon;
    while (*at < head->lines.length) {
        line = head->lines.data + *at;
        end = memchr(line, '\n', head->lines.length - *at);
        if (!end)
            end = head->lines.data + head->lines.length - 1;
        *at += (size_t)(end + 1 - line);
        colon = memchr(line, ':', (size_t)(end - line));
        if (!colon || is_blank(*line))
            continue;
        header->name = line;
        header->name_size = (size_t)(colon - line);
        while (++colon < end && is_blank(*colon))
            ;
        while (end > colon && is_blank(end[-1]))
            end--;
        header->value = colon;
        header->value_size = (size_t)(end - colon);
        return true;
    }
    return false;
}

static bool is_named(const struct header_field *header, const char *name) {
    if (strlen(name) != header->name_size)
        return false;
    for (size_t i = 0; i < header->name_size; i++)
        if (lower(header->name[i]) != name[i])
            return false;
    return true;
}

const char *head_find(const struct response_head *head, const char *name,
                      size_t *size) {
    struct header_field header;
    const char *value = NULL;
    size_t at = 0;
    while (next_header(head, &at, &header)) {
        if (!is_named(&header, name))
            continue;
        value = header.value;
        *size = header.value_size;
    }
    return value;
}

static void push_lower(lua_State *L, const char *text, size_t size) {
    char name[128];
    if (size > sizeof name) {
        lua_pushlstring(L, text, size);
        return;
    }
    for (size_t i = 0; i < size; i++)
        name[i] = lower(text[i]);
    lua_pushlstring(L, name, size);
}

void head_push(lua_State *L, const struct response_head *head) {
    struct header_field header;
    size_t at = 0;
    lua_createtable(L, 0, head->count);
    while (next_header(head, &at, &header)) {
        push_lower(L, header.name, header.name_size);
        lua_pushlstring(L, header.value, header.value_size);
        lua_rawset(L, -3);
    }
}

void head_free(struct response_head *head) {
    bytes_free(&head->lines);
}
