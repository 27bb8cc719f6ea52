/* glob.c: see glob.h. */
#define _GNU_SOURCE
#define PCRE2_CODE_UNIT_WIDTH 8
#include "view/glob.h"
#include "base/buffer.h"
#include "base/glob.h"
#include "base/scope.h"
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

struct glob {
    bool exclude, whole_path, directory;
    pcre2_code *code;
};

/* WORKSPACE bounds the places in a pattern that a match keeps track of. */
enum { WORKSPACE = 64 * 1024, MATCH_LIMIT = 1000000, DEPTH_LIMIT = 100 };

struct globs {
    bool any_include, failed;
    pcre2_match_data *match;
    pcre2_match_context *limits;
    int *workspace;
    size_t count;
    struct glob list[];
};

static int make_glob(struct glob *g, const char *text, struct fault *f) {
    struct buffer pattern;
    int error;
    PCRE2_SIZE at;
    char *copy CLEANUP(cleanup_free) = strdup(text), *glob = copy;
    if (!copy)
        return fault_memory(f);
    g->exclude = *glob == '!';
    glob += g->exclude;
    size_t length = strlen(glob);
    if (length > GLOB_MAX)
        return fault_set(f, 400, "the glob '%.100s...' is longer than %d bytes",
                         text, GLOB_MAX);
    g->directory = length > 1 && glob[length - 1] == '/';
    if (g->directory)
        glob[length - 1] = 0;
    g->whole_path = strchr(glob, '/') != NULL;
    glob += *glob == '/';
    buffer_init(&pattern, 65536);
    if (*glob && glob_to_regex(glob, &pattern))
        g->code = pcre2_compile((PCRE2_SPTR)pattern.data, pattern.length,
                                PCRE2_DOTALL, &error, &at, NULL);
    buffer_free(&pattern);
    return g->code ? 0 : fault_set(f, 400, "malformed glob '%.200s'", text);
}

struct globs *globs_make(const char *const *patterns, size_t count,
                         struct fault *f) {
    struct globs *g = calloc(1, sizeof *g + count * sizeof *g->list);
    if (g) {
        g->match = pcre2_match_data_create(1, NULL);
        g->limits = pcre2_match_context_create(NULL);
        g->workspace = malloc(WORKSPACE * sizeof *g->workspace);
    }
    if (!g || !g->match || !g->limits || !g->workspace) {
        fault_memory(f);
        globs_free(g);
        return NULL;
    }
    pcre2_set_match_limit(g->limits, MATCH_LIMIT);
    pcre2_set_depth_limit(g->limits, DEPTH_LIMIT);
    for (; g->count < count; g->count++) {
        if (make_glob(&g->list[g->count], patterns[g->count], f) < 0) {
            globs_free(g);
            return NULL;
        }
        if (!g->list[g->count].exclude)
            g->any_include = true;
    }
    return g;
}

void globs_free(struct globs *g) {
    if (!g)
        return;
    for (size_t i = 0; i < g->count; i++)
        pcre2_code_free(g->list[i].code);
    pcre2_match_data_free(g->match);
    pcre2_match_context_free(g->limits);
    free(g->workspace);
    free(g);
}

/* pcre2_dfa_match() never backtracks; pcre2_match() would do so for ever with
 * "*a*a*a*a*b". */
static bool matches(struct globs *g, const struct glob *one, const char *path) {
    const char *slash = one->whole_path ? NULL : strrchr(path, '/');
    const char *subject = slash ? slash + 1 : path;
    int n = pcre2_dfa_match(one->code, (PCRE2_SPTR)subject, strlen(subject), 0,
                            PCRE2_DFA_SHORTEST, g->match, g->limits,
                            g->workspace, WORKSPACE);
    g->failed = g->failed || (n < 0 && n != PCRE2_ERROR_NOMATCH);
    return n >= 0;
}

bool globs_failed(const struct globs *g) {
    return g->failed;
}

bool globs_allow(struct globs *g, const char *path, bool directory) {
    for (size_t i = g->count; i-- > 0;)
        if ((directory || !g->list[i].directory) &&
            matches(g, &g->list[i], path))
            return !g->list[i].exclude;
    return directory || !g->any_include;
}
