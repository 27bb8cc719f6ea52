/* nearest.c: see nearest.h. */
#include "base/nearest.h"
#include <string.h>

enum { EDITS_MAX = 2, LETTERS_PER_EDIT = 3, NAME_MAX_LENGTH = 31 };

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

/* The optimal string alignment distance, by its usual table. */
static size_t distance(const char *a, const char *b) {
    size_t rows[NAME_MAX_LENGTH + 1][NAME_MAX_LENGTH + 1];
    size_t m = strlen(a), n = strlen(b);
    if (m > NAME_MAX_LENGTH || n > NAME_MAX_LENGTH)
        return NAME_MAX_LENGTH + 1;
    for (size_t i = 0; i <= m; i++)
        for (size_t j = 0; j <= n; j++) {
            size_t *d = &rows[i][j];
            if (i == 0 || j == 0) {
                *d = i + j;
                continue;
            }
            *d = smaller(rows[i - 1][j], rows[i][j - 1]) + 1;
            *d = smaller(*d, rows[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                *d = smaller(*d, rows[i - 2][j - 2] + 1);
        }
    return rows[m][n];
}

struct nearest nearest_to(const char *given) {
    size_t allowed = smaller(strlen(given) / LETTERS_PER_EDIT, EDITS_MAX);
    return (struct nearest){given, NULL, (allowed ? allowed : 1) + 1};
}

void nearest_try(struct nearest *n, const char *name) {
    size_t edits = distance(n->given, name);
    if (edits >= n->edits)
        return;
    n->edits = edits;
    n->name = name;
}

struct nearest nearest_of(const char *given, const char *const *names,
                          size_t count) {
    struct nearest n = nearest_to(given);
    for (size_t i = 0; i < count; i++)
        nearest_try(&n, names[i]);
    return n;
}
