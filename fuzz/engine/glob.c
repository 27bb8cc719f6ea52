/* glob.c: any glob is compiled or refused; one of letters, * and ? matches what
 * fnmatch() says; a path with every character escaped matches itself. The input
 * is lines: patterns, then a path. */
#define _GNU_SOURCE
#include "view/glob.h"
#include "../input.h"
#include <fnmatch.h>

enum { PATTERNS = 6 };

/* Patterns that both read in the same way. */
static bool is_plain(const char *pattern) {
    return *pattern && !strstr(pattern, "**") &&
           pattern[strspn(pattern, "abcdefgh*?.-/")] == '\0' &&
           *pattern != '/' && pattern[strlen(pattern) - 1] != '/';
}

static void check_plain(const char *pattern, const char *path) {
    struct fault f;
    const char *last = strrchr(path, '/');
    const char *subject = strchr(pattern, '/') || !last ? path : last + 1;
    struct globs *g = globs_make(&pattern, 1, &f);
    HOLDS(g);
    bool allowed = globs_allow(g, path, false);
    HOLDS(globs_failed(g) ||
          allowed == (fnmatch(pattern, subject, FNM_PATHNAME) == 0));
    globs_free(g);
}

static void check_itself(const char *path) {
    struct fault f;
    char *escaped = malloc(2 * strlen(path) + 1), *to = escaped;
    HOLDS(escaped);
    for (const char *p = path; *p; p++) {
        *to++ = '\\';
        *to++ = *p;
    }
    *to = '\0';
    const char *pattern = escaped;
    struct globs *g = globs_make(&pattern, 1, &f);
    HOLDS(g ? globs_allow(g, path, false) : strlen(escaped) > GLOB_MAX);
    globs_free(g);
    free(escaped);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input in = {data, size};
    char *lines[PATTERNS + 1];
    size_t count = 0;
    struct fault f;
    while (count <= PATTERNS && in.left > 0)
        lines[count++] = input_text(&in, '\n');
    if (count > 1) {
        const char *path = lines[count - 1];
        struct globs *g = globs_make((const char *const *)lines, count - 1, &f);
        HOLDS(g || f.status == 400);
        if (g) {
            globs_allow(g, path, false);
            globs_allow(g, path, true);
        }
        globs_free(g);
        if (is_plain(lines[0]) && *path && path[0] != '/' &&
            !strstr(path, "//"))
            check_plain(lines[0], path);
        if (*path && *path != '/' && path[strlen(path) - 1] != '/')
            check_itself(path);
    }
    while (count > 0)
        free(lines[--count]);
    return 0;
}
