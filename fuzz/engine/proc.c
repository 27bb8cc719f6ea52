/* proc.c: what the kernel tells of control groups and mounts, with names that
 * others chose: the group and the mount that are found stand in the text. */
#define _GNU_SOURCE
#include "../../src/engine/sandbox/cgroup.c"
#include "../input.h"

static bool has(const char *text, const char *part) {
    return strstr(text, part) != NULL;
}

static void read_lines(char *text) {
    for (char *line; (line = strsep(&text, "\n"));) {
        struct mount m = {.root = ""};
        char path[8192];
        if (!read_mount(line, &m))
            continue;
        HOLDS(has(line, m.root) && has(line, m.point) && has(line, m.type) &&
              has(line, m.options));
        is_of(&m, "memory");
        is_of(&m, NULL);
        own_directory(&m, "/a/b", path, sizeof path);
        HOLDS(strlen(path) < sizeof path);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const controllers[] = {NULL, "memory", "cpu", "x"};
    struct input in = {data, size};
    struct cgroups c = {0};
    char *text = input_text(&in, '\0'), path[64];
    for (size_t i = 0; i < 4; i++)
        if (own_path(text, controllers[i], path, sizeof path))
            HOLDS(has(text, path) && strlen(path) < sizeof path);
    find_switched_off(&c, text);
    is_name(text);
    read_lines(text);
    free(text);
    return 0;
}
