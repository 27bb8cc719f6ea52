/* grep.c: see grep.h. Each file is read line by line, in a buffer that slides
 * over it and keeps the lines of context that may still be wanted. */
#define _GNU_SOURCE
#include "view/grep.h"
#include "base/descriptor.h"
#include "base/fault.h"
#include "base/scope.h"
#include "view/glob.h"
#include "view/patterns.h"
#include "view/walk.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIRST_BUFFER (128 << 10)
#define MAX_BUFFER (32 << 20)

struct grep {
    struct view *v;
    const struct grep_options *o;
    bool (*visit)(void *arg, const struct grep_line *l);
    void *arg;
    struct fault *f;
    bool *truncated;
    bool stopped;
    int64_t total;

    struct globs *globs;
    struct patterns *patterns;
    const struct grep_submatch *submatches; /* of the current line */
    size_t submatch_count;

    /* The current file. data[line..line_end) is the current line; the visitor
     * has seen everything before `reported`. */
    const char *path;
    int fd;
    char *data;
    size_t capacity, length, line, line_end, reported;
    int64_t offset; /* of data[0] in the file */
    int64_t number; /* of the current line */
    int64_t count, after_left;
    bool eof;
};

static int prepare(struct grep *s) {
    const struct grep_options *o = s->o;
    s->patterns =
        patterns_make(o->patterns, o->pattern_count, o->letter_case, s->f);
    if (!s->patterns)
        return -1;
    s->globs = globs_make(o->globs, o->glob_count, s->f);
    if (!s->globs)
        return -1;
    s->data = malloc(FIRST_BUFFER);
    s->capacity = FIRST_BUFFER;
    return s->data ? 0 : fault_memory(s->f);
}

static void release(struct grep *s) {
    globs_free(s->globs);
    patterns_free(s->patterns);
    free(s->data);
}

/* Notes that the search is not complete. `all`: it ends here. */
static void truncate_search(struct grep *s, bool all) {
    *s->truncated = true;
    s->stopped = s->stopped || all;
}

/* Finds the matches in a line. */
static bool match_line(struct grep *s, const char *line, size_t length) {
    bool complete = true;
    s->submatch_count = patterns_match(
        s->patterns, line, length, &s->o->deadline, &s->submatches, &complete);
    if (!complete)
        truncate_search(s, false);
    return s->submatch_count;
}

/* The beginning of the line before the one at `at`, not below `reported`. */
static size_t line_before(const struct grep *s, size_t at) {
    const char *newline =
        at > s->reported + 1
            ? memrchr(s->data + s->reported, '\n', at - 1 - s->reported)
            : NULL;
    return newline ? (size_t)(newline - s->data) + 1 : s->reported;
}

/* Where the context before the current line begins, and how many lines it has.
 */
static size_t context_begin(const struct grep *s, int64_t *lines) {
    size_t at = s->line;
    for (*lines = 0; *lines < s->o->before && at > s->reported; ++*lines)
        at = line_before(s, at);
    return at;
}

/* Skips a byte order mark: it is not part of the first line. */
static int skip_mark(struct grep *s) {
    char mark[3];
    ssize_t n;
    do
        n = pread(s->fd, mark, sizeof mark, 0);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return fault_errno(s->f, "reading /%.300s", s->path);
    if (n == sizeof mark && memcmp(mark, "\xef\xbb\xbf", sizeof mark) == 0)
        s->offset = sizeof mark;
    return 0;
}

/* Moves what is still needed to the front of the buffer and reads more. 1: read
 * something, or s->eof; 0: the line is too long; -1: fault. */
static int fill(struct grep *s) {
    int64_t lines;
    size_t keep = context_begin(s, &lines);
    memmove(s->data, s->data + keep, s->length - keep);
    s->offset += (int64_t)keep;
    s->length -= keep;
    s->line -= keep;
    s->reported = s->reported > keep ? s->reported - keep : 0;
    if (s->length == s->capacity) {
        if (s->capacity >= MAX_BUFFER)
            return 0;
        char *more = realloc(s->data, s->capacity * 2);
        if (!more)
            return fault_memory(s->f);
        s->data = more;
        s->capacity *= 2;
    }
    ssize_t n;
    do
        n = pread(s->fd, s->data + s->length, s->capacity - s->length,
                  s->offset + (int64_t)s->length);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return fault_errno(s->f, "reading /%.300s", s->path);
    s->eof = n == 0;
    s->length += (size_t)n;
    return 1;
}

/* Finds the end of the line at s->line. 1: line_end is set; 0: no more lines;
 * -1: fault. */
static int find_line(struct grep *s) {
    size_t from = s->line;
    for (;;) {
        char *newline = memchr(s->data + from, '\n', s->length - from);
        if (newline) {
            s->line_end = (size_t)(newline - s->data) + 1;
            return 1;
        }
        if (s->eof) {
            s->line_end = s->length;
            return s->line < s->length;
        }
        from = s->length - s->line;
        int more = fill(s);
        if (more == 0)
            truncate_search(s, false);
        if (more != 1)
            return more;
        from += s->line;
    }
}

static void report(struct grep *s, size_t begin, size_t end, int64_t number,
                   bool match) {
    struct grep_line l = {.path = s->path,
                          .text = s->data + begin,
                          .length = end - begin,
                          .number = number,
                          .offset = s->offset + (int64_t)begin,
                          .submatches = match ? s->submatches : NULL,
                          .submatch_count = match ? s->submatch_count : 0};
    s->reported = end;
    if (!s->visit(s->arg, &l))
        s->stopped = true;
}

/* A match beyond the limits is reported only where it is in the context of the
 * last one that counted. */
static void report_extra(struct grep *s) {
    s->after_left--;
    report(s, s->line, s->line_end, s->number, true);
}

static void report_match(struct grep *s) {
    int64_t lines;
    size_t at = context_begin(s, &lines);
    for (; lines > 0 && !s->stopped; lines--) {
        char *newline = memchr(s->data + at, '\n', s->line - at);
        size_t end = newline ? (size_t)(newline - s->data) + 1 : s->line;
        report(s, at, end, s->number - lines, false);
        at = end;
    }
    if (!s->stopped)
        report(s, s->line, s->line_end, s->number, true);
    s->after_left = s->o->after;
    s->count++;
    s->total++;
}

static int64_t max_total(const struct grep *s) {
    return s->o->max_total > 0 ? s->o->max_total : 1000;
}

/* Whether no further line of this file may be counted. */
static bool is_full(const struct grep *s) {
    return s->total >= max_total(s) ||
           (s->o->max_count > 0 && s->count >= s->o->max_count);
}

static int search_lines(struct grep *s) {
    int more = 0;
    while (!s->stopped && (more = find_line(s)) == 1) {
        const char *line = s->data + s->line;
        size_t length = s->line_end - s->line;
        s->number++;
        length -= line[length - 1] == '\n';
        if (is_full(s) && s->after_left == 0)
            return 0;
        bool match = match_line(s, line, length);
        if (match && is_full(s))
            report_extra(s);
        else if (match)
            report_match(s);
        else if (s->after_left > 0 && s->after_left--)
            report(s, s->line, s->line_end, s->number, false);
        s->line = s->line_end;
        if (deadline_is_over(&s->o->deadline))
            truncate_search(s, true);
    }
    return s->stopped || more >= 0 ? 0 : -1;
}

/* 1: the file has a NUL; 0; -1: fault. */
static int is_binary(struct grep *s, int64_t size) {
    int64_t at = 0;
    /* A hole reads as NULs. */
    off_t hole = lseek(s->fd, 0, SEEK_HOLE);
    if (hole >= 0 && hole < size)
        return 1;
    while (at < size) {
        ssize_t n = pread(s->fd, s->data, s->capacity, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fault_errno(s->f, "reading /%.300s", s->path);
        if (memchr(s->data, 0, (size_t)n))
            return 1;
        if (n == 0 || deadline_is_over(&s->o->deadline))
            break;
        at += n;
    }
    return 0;
}

static int search_file(struct grep *s, struct walk *w, const struct item *i) {
    int fd CLEANUP(cleanup_close) = walk_open(w, s->f);
    if (fd < 0)
        return -1;
    s->fd = fd;
    s->path = i->path;
    int binary = is_binary(s, i->st.st_size);
    if (binary)
        return binary < 0 ? -1 : 0;
    s->length = s->line = s->line_end = s->reported = 0;
    s->offset = s->number = s->count = s->after_left = 0;
    s->eof = false;
    if (skip_mark(s) < 0 || search_lines(s) < 0)
        return -1;
    if (s->total >= max_total(s))
        truncate_search(s, true);
    return 0;
}

static int search_path(struct grep *s, const char *path) {
    struct item i;
    struct walk *w = walk_begin(s->v, path, s->f);
    int more = w ? 1 : -1;
    /* A file that was asked for by its path is searched whatever the globs say.
     */
    for (bool first = true; more == 1 && !s->stopped; first = false) {
        more = walk_next(w, &i, s->f);
        bool directory = more == 1 && S_ISDIR(i.st.st_mode);
        bool wanted =
            more == 1 && (first || globs_allow(s->globs, i.path, directory));
        if (globs_failed(s->globs))
            truncate_search(s, false);
        if (directory && !wanted)
            walk_skip(w);
        if (wanted && S_ISREG(i.st.st_mode) && search_file(s, w, &i) < 0)
            more = -1;
        if (deadline_is_over(&s->o->deadline))
            truncate_search(s, true);
    }
    walk_end(w);
    return more < 0 ? -1 : 0;
}

int inspect_grep(struct view *v, const struct grep_options *o,
                 bool (*visit)(void *arg, const struct grep_line *l), void *arg,
                 bool *truncated, struct fault *f) {
    static const char *const everywhere[] = {"/"};
    const char *const *paths = o->path_count ? o->paths : everywhere;
    size_t count = o->path_count ? o->path_count : 1;
    struct grep s = {.v = v,
                     .o = o,
                     .visit = visit,
                     .arg = arg,
                     .f = f,
                     .truncated = truncated};
    *truncated = false;
    int result = prepare(&s);
    for (size_t i = 0; result == 0 && i < count && !s.stopped; i++)
        result = search_path(&s, paths[i]);
    release(&s);
    return result;
}
