/* test_text.c: texts merge as git merge-file merges them. */
#define _GNU_SOURCE
#include "check.h"
#include "merge/text.h"
#include "seed.h"
#include "temp_dir.h"
#include <stdlib.h>
#include <sys/wait.h>

static struct merge_text text(const char *s) {
    return (struct merge_text){s, strlen(s)};
}

/* The merged text, or "conflict". The caller frees it. */
static char *merge(const char *base, const char *ours, const char *theirs) {
    struct buffer b;
    struct fault f;
    buffer_init(&b, 1 << 20);
    int result = merge_texts(text(base), text(ours), text(theirs), &b, &f);
    char *out = strdup(result < 0    ? "fault"
                       : result == 0 ? "conflict"
                       : b.length    ? b.data
                                     : "");
    buffer_free(&b);
    return out;
}

static void expect(const char *base, const char *ours, const char *theirs,
                   const char *want) {
    char *got = merge(base, ours, theirs);
    char *other = merge(base, theirs, ours);
    CHECK_STRING(got, want);
    CHECK_STRING(other, want);
    free(got);
    free(other);
}

static void by_hand(void) {
    expect("", "", "", "");
    expect("a\n", "a\n", "a\n", "a\n");
    expect("a\nb\nc\n", "A\nb\nc\n", "a\nb\nC\n", "A\nb\nC\n");
    expect("a\nb\nc\n", "a\nc\n", "a\nb\nc\nd\n", "a\nc\nd\n");
    expect("a\nb\n", "A\nb\n", "a\nB\n", "conflict");
    expect("a\n", "b\n", "c\n", "conflict");
    expect("a\n", "b\n", "b\n", "b\n");
    expect("", "x\n", "", "x\n");
    expect("", "x\n", "y\n", "conflict");
    expect("a\nb", "a\nb", "x\na\nb", "x\na\nb");
    expect("a\nb\n", "a\nb", "a\nb\nc\n", "conflict");
    expect("a\nb\nc\n", "a\nb\nc", "x\na\nb\nc\n", "x\na\nb\nc");
    expect("a\r\nb\r\nc\r\n", "a\r\nb\r\nc\r\nd\r\n", "z\r\nb\r\nc\r\n",
           "z\r\nb\r\nc\r\nd\r\n");
}

static void binary(void) {
    static char late[9000];
    memset(late, 'a', sizeof late);
    late[8000] = 0;
    CHECK(merge_is_text((struct merge_text){late, sizeof late}));
    late[7999] = 0;
    CHECK(!merge_is_text((struct merge_text){late, sizeof late}));
    CHECK(merge_is_text((struct merge_text){NULL, 0}));
}

/* Millions of lines are a conflict, and take no memory to speak of. */
static void many_lines(void) {
    size_t size = 4 << 20;
    char *lines = malloc(size);
    struct buffer b;
    struct fault f;
    buffer_init(&b, 1 << 20);
    memset(lines, '\n', size);
    const struct merge_text all = {lines, size}, most = {lines, size - 1};
    CHECK_NUMBER(merge_texts(all, most, most, &b, &f), 0);
    CHECK_NUMBER(b.length, 0);
    buffer_free(&b);
    free(lines);
}

/* ---- random texts ---- */

enum { LINES = 60, SIZE = 4096 };

struct lines {
    int count, line[2 * LINES];
};

static void edit(struct lines *l, int kinds) {
    for (int n = seed_below(5); n > 0; n--) {
        int at = seed_below(l->count + 1);
        if (seed_below(3) && at < l->count) {
            if (seed_below(2))
                l->line[at] = seed_below(kinds);
            else
                memmove(l->line + at, l->line + at + 1,
                        (size_t)(--l->count - at) * sizeof *l->line);
        } else if (l->count < LINES + 20) {
            memmove(l->line + at + 1, l->line + at,
                    (size_t)(l->count++ - at) * sizeof *l->line);
            l->line[at] = seed_below(kinds);
        }
    }
}

static void print(const struct lines *l, bool newline, char out[SIZE]) {
    size_t n = 0;
    out[0] = 0;
    for (int i = 0; i < l->count; i++)
        n += (size_t)sprintf(out + n, "l%d\n", l->line[i]);
    if (n && !newline)
        out[n - 1] = 0;
}

static void write_file(const struct temp_dir *d, const char *name,
                       const char *bytes) {
    char path[300];
    snprintf(path, sizeof path, "%s/%s", d->path, name);
    FILE *f = fopen(path, "w");
    CHECK(f && fputs(bytes, f) >= 0 && fclose(f) == 0);
}

static void ask_git(const struct temp_dir *d, const char *base,
                    const char *ours, const char *theirs, char out[2 * SIZE]) {
    char command[400];
    write_file(d, "base", base);
    write_file(d, "ours", ours);
    write_file(d, "theirs", theirs);
    snprintf(command, sizeof command,
             "cd %s && git merge-file -p ours base theirs 2>&1", d->path);
    FILE *p = popen(command, "r");
    size_t n = p ? fread(out, 1, 2 * SIZE - 1, p) : 0;
    out[n] = 0;
    if (!p || pclose(p) != 0)
        strcpy(out, "conflict");
}

static void as_git(void) {
    static char base[SIZE], ours[SIZE], theirs[SIZE], want[2 * SIZE];
    struct temp_dir d = temp_dir_make();
    int clean = 0, all = seed_count(400);
    for (int i = 0; i < all && check_ok; i++) {
        /* Few kinds of lines: many shortest scripts, of which git takes one. */
        int kinds = (const int[]){3, 8, 30, 100000}[i % 4];
        struct lines b = {.count = seed_below(LINES)};
        for (int j = 0; j < b.count; j++)
            b.line[j] = seed_below(kinds);
        struct lines o = b, t = b;
        edit(&o, kinds);
        edit(&t, kinds);
        bool newline = seed_below(8) > 0;
        print(&b, newline, base);
        print(&o, seed_below(8) > 0 ? newline : !newline, ours);
        print(&t, newline, theirs);
        ask_git(&d, base, ours, theirs, want);
        char *got = merge(base, ours, theirs);
        clean += strcmp(want, "conflict") != 0;
        CHECK_STRING(got, want);
        if (!check_ok)
            printf("# case %d: %s ours: %s theirs: %s\n", i, base, ours,
                   theirs);
        free(got);
    }
    printf("# %d of %d without conflict\n", clean, all);
    CHECK(clean > all / 10 && clean < all);
    temp_dir_remove(&d);
}

int main(void) {
    seed_begin();
    RUN(by_hand, "changes at different places come together");
    RUN(binary, "what has a NUL early is no text");
    RUN(many_lines, "too many lines are a conflict");
    RUN(as_git, "random texts merge as with git merge-file");
    return CHECK_DONE();
}
