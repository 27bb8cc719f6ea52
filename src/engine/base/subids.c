/* subids.c: see subids.h. */
#include "base/subids.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

void subids_open(struct subids *s, const char *path) {
    s->file = fopen(path, "re");
}

void subids_close(struct subids *s) {
    if (s->file)
        fclose(s->file);
}

/* The next line without its newline; longer ones are left out. */
static bool next_line(struct subids *s) {
    bool whole = true;
    while (s->file && fgets(s->text, sizeof s->text, s->file)) {
        char *end = strchr(s->text, '\n');
        bool first = whole;
        whole = end || feof(s->file);
        if (end)
            *end = '\0';
        if (first && whole)
            return true;
    }
    return false;
}

static bool read_number(const char *text, uint32_t *out) {
    char *end;
    unsigned long long value = strtoull(text, &end, 10);
    *out = (uint32_t)value;
    return isdigit((unsigned char)*text) && !*end && value <= UINT32_MAX;
}

static bool read_line(char *text, struct subids_line *out) {
    char *first = strchr(text, ':');
    char *count = first ? strchr(first + 1, ':') : NULL;
    if (!count || first == text)
        return false;
    *first++ = *count++ = '\0';
    out->name = text;
    return read_number(first, &out->first) && read_number(count, &out->count) &&
           out->count > 0 && out->count <= UINT32_MAX - out->first;
}

bool subids_next(struct subids *s, struct subids_line *out) {
    while (next_line(s))
        if (read_line(s->text, out))
            return true;
    return false;
}

/* Move *first behind each range that overlaps with the `count` ids from there
 * on. True if it was moved. */
static bool skip_taken(const char *path, uint32_t count, uint64_t *first) {
    struct subids s;
    struct subids_line line;
    bool moved = false;
    subids_open(&s, path);
    while (subids_next(&s, &line)) {
        uint64_t end = (uint64_t)line.first + line.count;
        if (line.first >= *first + count || end <= *first)
            continue;
        *first = end;
        moved = true;
    }
    subids_close(&s);
    return moved;
}

uint64_t subids_find_free(const char *users, const char *groups, uint32_t from,
                          uint32_t count) {
    uint64_t first = from;
    while (skip_taken(users, count, &first) ||
           skip_taken(groups, count, &first))
        continue;
    return first;
}
