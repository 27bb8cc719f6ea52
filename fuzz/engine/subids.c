/* subids.c: whatever stands in /etc/subuid and /etc/subgid, the ranges of a
 * user are those of its lines, do not overlap, have not its own id and end
 * within the ids that exist; what doctor tells to add is free. */
#define _GNU_SOURCE
#include "../../src/engine/sandbox/userns.c"
#include "../input.h"
#include <regex.h>

enum { SELF = 150000, LONGEST = 1024 };

static char users[320], groups[320]; /* the files; set once */

static void write_file(const char *path, const char *text, size_t size) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    HOLDS(fd >= 0 && write(fd, text, size) == (ssize_t)size);
    close(fd);
}

/* Whether a line of the text is this range of the user. */
static bool stands_in(const char *text, size_t size, const struct id_range *r) {
    char pattern[128], copy[LONGEST];
    regex_t regex;
    bool found = false;
    snprintf(pattern, sizeof pattern, "^(user|7):0*%u:0*%u$", r->base,
             r->count);
    HOLDS(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB) == 0);
    for (const char *line = text, *end = text + size; line < end && !found;) {
        const char *next = memchr(line, '\n', (size_t)(end - line));
        size_t length = (size_t)((next ? next : end) - line);
        length = length < sizeof copy ? length : 0;
        memcpy(copy, line, length);
        copy[length] = '\0'; /* a NUL ends a line, too */
        found = regexec(&regex, copy, 0, NULL, 0) == 0;
        line = next ? next + 1 : end;
    }
    regfree(&regex);
    return found;
}

static bool overlap(uint64_t a, uint64_t a_count, uint64_t b,
                    uint64_t b_count) {
    return a < b + b_count && b < a + a_count;
}

static void check_ranges(const char *text, size_t size) {
    struct ranges r;
    uint64_t ids = 0;
    find_ranges(users, "user", 7, SELF, &r);
    HOLDS(r.count <= RANGES_MAX);
    for (int i = 0; i < r.count; i++) {
        const struct id_range *a = &r.list[i];
        ids += a->count;
        HOLDS(a->count > 0 && (uint64_t)a->base + a->count <= UINT32_MAX);
        HOLDS(!overlap(a->base, a->count, SELF, 1));
        HOLDS(stands_in(text, size, a));
        for (int k = 0; k < i; k++)
            HOLDS(!overlap(a->base, a->count, r.list[k].base, r.list[k].count));
    }
    HOLDS(r.ids == ids);
}

static void check_free(void) {
    static const char *const paths[] = {users, groups};
    uint64_t first = subids_find_free(users, groups, 100000, 65536);
    HOLDS(first >= 100000 && first <= UINT32_MAX);
    for (int i = 0; i < 2; i++) {
        struct subids s;
        struct subids_line line;
        subids_open(&s, paths[i]);
        while (subids_next(&s, &line))
            HOLDS(!overlap(first, 65536, line.first, line.count));
        subids_close(&s);
    }
}

/* A map of a user namespace has the same form, but for blanks. */
static void check_map(void) {
    uint32_t all = mapped_ids(users);
    struct id_range out;
    take_all_ids(all, &out);
    HOLDS(out.count > 0 && (uint64_t)out.base + out.count <= UINT32_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input in = {data, size};
    if (!*users) {
        const char *at = fuzz_directory("subids");
        snprintf(users, sizeof users, "%s/subuid", at);
        snprintf(groups, sizeof groups, "%s/subgid", at);
    }
    char *other = input_text(&in, '\1');
    size_t length;
    write_file(groups, other, strlen(other));
    char *text = input_rest(&in, &length);
    write_file(users, text, length);
    check_ranges(text, length);
    check_free();
    check_map();
    free(other);
    free(text);
    return 0;
}
