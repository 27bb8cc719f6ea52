/* grep.c: what a search tells is in the file: a line and matches within it. Any
 * pattern is compiled or refused, and a pattern without special characters
 * finds what memmem() finds. The input is a byte of options, a pattern, a glob
 * and the file. */
#define _GNU_SOURCE
#include "view/grep.h"
#include "../input.h"
#include "base/clock.h"
#include "view/view.h"
#include <fcntl.h>
#include <unistd.h>

struct seen {
    const char *content;
    size_t length;
    int64_t number, offset; /* of the last line */
    int matches;
};

static bool see(void *arg, const struct grep_line *l) {
    struct seen *s = arg;
    HOLDS(l->offset >= 0 && (size_t)l->offset + l->length <= s->length);
    HOLDS(memcmp(s->content + l->offset, l->text, l->length) == 0);
    HOLDS(l->number > s->number && l->offset >= s->offset);
    HOLDS(l->offset == 0 || s->content[l->offset - 1] == '\n' ||
          (l->offset == 3 && memcmp(s->content, "\xef\xbb\xbf", 3) == 0));
    for (size_t i = 0, end = 0; i < l->submatch_count; i++) {
        HOLDS(l->submatches[i].start >= end);
        HOLDS(l->submatches[i].start <= l->submatches[i].end);
        HOLDS(l->submatches[i].end <= l->length);
        end = l->submatches[i].end;
    }
    s->number = l->number;
    s->offset = l->offset;
    s->matches += l->submatch_count > 0;
    return true;
}

/* A view of one layer with one file, whose descriptor is *file. */
static struct view *make_view(int *file) {
    static const int64_t layers[] = {1};
    struct fault f;
    int dir = open(fuzz_directory("grep"), O_RDONLY | O_DIRECTORY);
    HOLDS(dir >= 0 && mkdirat(dir, "l", 0755) == 0);
    HOLDS(mkdirat(dir, "l/0", 0755) == 0 && mkdirat(dir, "l/1", 0755) == 0);
    *file = openat(dir, "l/1/f.txt", O_RDWR | O_CREAT, 0644);
    struct view *v = view_open(dir, layers, 1, (struct id_range){0, 65536}, &f);
    HOLDS(*file >= 0 && v);
    return v;
}

static void search(struct view *v, uint8_t options, const char *pattern,
                   const char *glob, struct seen *s) {
    struct fault f;
    bool truncated;
    const char *patterns[] = {pattern}, *globs[] = {glob};
    struct grep_options o = {.patterns = patterns,
                             .pattern_count = 1,
                             .globs = globs,
                             .glob_count = *glob ? 1 : 0,
                             .before = options & 3,
                             .after = options >> 2 & 3,
                             .letter_case = (options >> 4 & 3) % 3,
                             .max_count = options >> 6,
                             .deadline.at = monotonic_seconds() + 5};
    int result = inspect_grep(v, &o, see, s, &truncated, &f);
    HOLDS(result == 0 || f.status == 400);
    bool plain = *pattern && !pattern[strspn(pattern, "abcdefgh ")];
    if (plain && o.letter_case == GREP_SENSITIVE && !*glob && result == 0 &&
        !memchr(s->content, 0, s->length) && !truncated)
        HOLDS((s->matches > 0) == (memmem(s->content, s->length, pattern,
                                          strlen(pattern)) != NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct view *view; /* made once, with its file */
    static int file;
    struct input in = {data, size};
    if (!view)
        view = make_view(&file);
    uint8_t options = input_byte(&in);
    char *pattern = input_text(&in, '\0'), *glob = input_text(&in, '\0');
    struct seen s = {0};
    char *content = input_rest(&in, &s.length);
    s.content = content;
    HOLDS(ftruncate(file, 0) == 0 &&
          pwrite(file, content, s.length, 0) == (ssize_t)s.length);
    search(view, options, pattern, glob, &s);
    free(pattern);
    free(glob);
    free(content);
    return 0;
}
