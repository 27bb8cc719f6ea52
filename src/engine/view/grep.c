/* grep.c: see grep.h. Line by line, in a buffer that slides
 * over the file and keeps the lines of context that may still be wanted. */
#define _GNU_SOURCE
#define PCRE2_CODE_UNIT_WIDTH 8
#include "view/grep.h"
#include "base/buffer.h"
#include "base/descriptor.h"
#include "base/fault.h"
#include "base/scope.h"
#include "view/glob.h"
#include "view/regex.h"
#include "view/walk.h"
#include <errno.h>
#include <fcntl.h>
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIRST_BUFFER (128 << 10)
#define MAX_BUFFER (32 << 20)
#define MAX_PATTERN (64 << 10)
#define MAX_SUBMATCHES 10000
/* Steps that one pattern may take in one line: content may be made to make a
 * pattern backtrack for ever. */
#define MATCH_LIMIT 1000000
#define HEAP_LIMIT 20000 /* KiB */

struct search {
    struct view *v;
    const struct grep_options *o;
    bool (*visit)(void *arg, const struct grep_line *l);
    void *arg;
    struct fault *f;
    bool *truncated;
    bool stopped;
    int64_t total;

    struct globs *globs;
    pcre2_code **codes;
    pcre2_match_data *match;
    pcre2_match_context *limits;
    pcre2_jit_stack *stack;
    struct grep_submatch *submatches;
    size_t submatch_count;

    /* The file at hand. data[line..line_end) is the current line, what is
     * before `reported` was given to the visitor. */
    const char *path;
    int fd;
    char *data;
    size_t capacity, length, line, line_end, reported;
    int64_t offset; /* of data[0] in the file */
    int64_t number; /* of the current line */
    int64_t count, after_left;
    bool eof;
};

/* Whether there is a capital letter, of any script. */
static bool has_upper(const struct buffer *text) {
    static const char capital[] = "[\\p{Lu}\\p{Lt}]";
    int error;
    PCRE2_SIZE at;
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)capital, sizeof capital - 1,
                                     PCRE2_UTF, &error, &at, NULL);
    pcre2_match_data *match = pcre2_match_data_create(1, NULL);
    bool found = code && match && text->length &&
                 pcre2_match(code, (PCRE2_SPTR)text->data, text->length, 0, 0,
                             match, NULL) >= 0;
    pcre2_match_data_free(match);
    pcre2_code_free(code);
    return found;
}

static int compile(struct search *s, size_t i, const char *text,
                   uint32_t flags) {
    const char *pattern = s->o->patterns[i];
    int error;
    PCRE2_SIZE at;
    s->codes[i] =
        pcre2_compile((PCRE2_SPTR)text, strlen(text), flags, &error, &at, NULL);
    if (!s->codes[i]) {
        char why[160] = "";
        pcre2_get_error_message(error, (PCRE2_UCHAR *)why, sizeof why);
        return fault_set(s->f, 400, "bad pattern '%.100s': %s", pattern, why);
    }
    /* Where memory must not be both writable and executable this fails, and
     * matching is slower. */
    pcre2_jit_compile(s->codes[i], PCRE2_JIT_COMPLETE);
    return 0;
}

/* The patterns as PCRE2 wants them, one after the other, each with its NUL. */
static int translate(const struct search *s, struct buffer *texts,
                     struct buffer *literals) {
    for (size_t i = 0; i < s->o->pattern_count; i++) {
        const char *pattern = s->o->patterns[i];
        if (strlen(pattern) > MAX_PATTERN)
            return fault_set(s->f, 400, "bad pattern '%.100s': it is too long",
                             pattern);
        if (regex_translate(pattern, texts, literals, s->f) < 0)
            return -1;
        buffer_add(texts, "", 1);
    }
    return texts->failed ? fault_set(s->f, 400, "the patterns are too long")
                         : 0;
}

static bool is_caseless(const struct grep_options *o,
                        const struct buffer *literals) {
    return o->letter_case == GREP_INSENSITIVE ||
           (o->letter_case == GREP_SMART && !has_upper(literals));
}

static int compile_all(struct search *s) {
    struct buffer texts, literals;
    buffer_init(&texts, 8 << 20);
    buffer_init(&literals, 8 << 20);
    int result = translate(s, &texts, &literals);
    uint32_t flags = PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF |
                     PCRE2_NEVER_BACKSLASH_C |
                     (is_caseless(s->o, &literals) ? PCRE2_CASELESS : 0);
    const char *text = texts.data;
    for (size_t i = 0; result == 0 && i < s->o->pattern_count; i++) {
        result = compile(s, i, text, flags);
        text += strlen(text) + 1;
    }
    buffer_free(&texts);
    buffer_free(&literals);
    return result;
}

static int prepare(struct search *s) {
    const struct grep_options *o = s->o;
    if (o->pattern_count == 0)
        return fault_set(s->f, 400, "pattern is required");
    if (!(s->globs = globs_make(o->globs, o->glob_count, s->f)))
        return -1;
    s->codes = calloc(o->pattern_count, sizeof *s->codes);
    s->match = pcre2_match_data_create(1, NULL);
    s->limits = pcre2_match_context_create(NULL);
    s->stack = pcre2_jit_stack_create(32 << 10, 1 << 20, NULL);
    s->submatches = malloc(MAX_SUBMATCHES * sizeof *s->submatches);
    s->data = malloc(FIRST_BUFFER);
    s->capacity = FIRST_BUFFER;
    if (!s->codes || !s->match || !s->limits || !s->stack || !s->submatches ||
        !s->data)
        return fault_memory(s->f);
    pcre2_set_match_limit(s->limits, MATCH_LIMIT);
    pcre2_set_heap_limit(s->limits, HEAP_LIMIT);
    pcre2_jit_stack_assign(s->limits, NULL, s->stack);
    return compile_all(s);
}

static void release(struct search *s) {
    for (size_t i = 0; s->codes && i < s->o->pattern_count; i++)
        pcre2_code_free(s->codes[i]);
    free(s->codes);
    globs_free(s->globs);
    pcre2_match_data_free(s->match);
    pcre2_match_context_free(s->limits);
    pcre2_jit_stack_free(s->stack);
    free(s->submatches);
    free(s->data);
}

/* The search is not complete; what was found stands. */
static void truncate_search(struct search *s, bool all) {
    *s->truncated = true;
    s->stopped = s->stopped || all;
}

/* The leftmost match of any pattern at or after `from`; the earlier pattern
 * wins. False when there is none. */
static bool find_match(struct search *s, const char *line, size_t length,
                       size_t from, struct grep_submatch *out) {
    bool found = false;
    for (size_t i = 0; i < s->o->pattern_count; i++) {
        int n = pcre2_match(s->codes[i], (PCRE2_SPTR)line, length, from, 0,
                            s->match, s->limits);
        if (n < 0 && n != PCRE2_ERROR_NOMATCH)
            truncate_search(s, false); /* too costly */
        if (n < 0)
            continue;
        PCRE2_SIZE *at = pcre2_get_ovector_pointer(s->match);
        /* \K can put the beginning behind the end. */
        size_t end = at[1] < at[0] ? at[0] : at[1];
        if (!found || at[0] < out->start)
            *out = (struct grep_submatch){at[0], end};
        found = true;
    }
    return found;
}

/* Fills submatches; false when the line has none. */
static bool match_line(struct search *s, const char *line, size_t length) {
    size_t from = 0;
    s->submatch_count = 0;
    while (from <= length && s->submatch_count < MAX_SUBMATCHES) {
        struct grep_submatch *m = &s->submatches[s->submatch_count];
        if (!find_match(s, line, length, from, m))
            break;
        s->submatch_count++;
        from = m->end + (m->end == m->start);
        /* Not into the middle of a character. */
        while (from < length && m->end == m->start &&
               ((unsigned char)line[from] & 0xc0) == 0x80)
            from++;
        if (deadline_is_over(&s->o->deadline))
            break;
    }
    return s->submatch_count;
}

/* The beginning of the line before the one at `at`, not below `reported`. */
static size_t line_before(const struct search *s, size_t at) {
    const char *newline =
        at > s->reported + 1
            ? memrchr(s->data + s->reported, '\n', at - 1 - s->reported)
            : NULL;
    return newline ? (size_t)(newline - s->data) + 1 : s->reported;
}

/* How far back the context of the current line goes; *lines is how many lines
 * that are. */
static size_t context_begin(const struct search *s, int64_t *lines) {
    size_t at = s->line;
    for (*lines = 0; *lines < s->o->before && at > s->reported; ++*lines)
        at = line_before(s, at);
    return at;
}

/* The mark that some programs begin a text with is no part of its first line.
 */
static int skip_mark(struct search *s) {
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

/* Moves what is still needed to the front and reads more. 1: there is more (or
 * the end was seen), 0: the line is too long, -1: fault. */
static int fill(struct search *s) {
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

/* Finds the line at s->line. 1: line_end is set, 0: no more, -1: fault. */
static int find_line(struct search *s) {
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

static void report(struct search *s, size_t begin, size_t end, int64_t number,
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

/* A line beyond the limits is only told as one of the context before it, but as
 * the match it is. */
static void report_extra(struct search *s) {
    s->after_left--;
    report(s, s->line, s->line_end, s->number, true);
}

static void report_match(struct search *s) {
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

static int64_t max_total(const struct search *s) {
    return s->o->max_total > 0 ? s->o->max_total : 1000;
}

/* No further line of this file may be counted. */
static bool is_full(const struct search *s) {
    return s->total >= max_total(s) ||
           (s->o->max_count > 0 && s->count >= s->o->max_count);
}

static int search_lines(struct search *s) {
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

/* 1: the file has a NUL, so nobody can read it line by line. */
static int is_binary(struct search *s, int64_t size) {
    int64_t at = 0;
    /* A hole is full of them. */
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

static int search_file(struct search *s, struct walk *w, const struct item *i) {
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

static int search_path(struct search *s, const char *path) {
    struct item i;
    struct walk *w = walk_begin(s->v, path, s->f);
    int more = w ? 1 : -1;
    /* What was named is searched whatever the globs say. */
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
    struct search s = {.v = v,
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
