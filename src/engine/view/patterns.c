/* patterns.c: see patterns.h. */
#define _GNU_SOURCE
#define PCRE2_CODE_UNIT_WIDTH 8
#include "view/patterns.h"
#include "base/buffer.h"
#include "view/regex.h"
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PATTERN (64 << 10)
#define MAX_SUBMATCHES 10000
/* Steps that a pattern may take in one line: hostile content could make it
 * backtrack for ever. */
#define MATCH_LIMIT 1000000
#define HEAP_LIMIT 20000 /* KiB */

struct patterns {
    size_t count;
    pcre2_match_data *match;
    pcre2_match_context *limits;
    pcre2_jit_stack *stack;
    struct grep_submatch *submatches;
    pcre2_code *codes[];
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

static pcre2_code *compile(const char *pattern, const char *text,
                           uint32_t flags, struct fault *f) {
    int error;
    PCRE2_SIZE at;
    pcre2_code *code =
        pcre2_compile((PCRE2_SPTR)text, strlen(text), flags, &error, &at, NULL);
    if (!code) {
        char why[160] = "";
        pcre2_get_error_message(error, (PCRE2_UCHAR *)why, sizeof why);
        fault_set(f, 400, "bad pattern '%.100s': %s", pattern, why);
        return NULL;
    }
    /* This fails where memory must not be writable and executable. Matching is
     * slower then. */
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
    return code;
}

/* The patterns in PCRE2's spelling, one after the other, each with its NUL. */
static int translate(const char *const *patterns, size_t count,
                     struct buffer *texts, struct buffer *literals,
                     struct fault *f) {
    for (size_t i = 0; i < count; i++) {
        if (strlen(patterns[i]) > MAX_PATTERN)
            return fault_set(f, 400, "bad pattern '%.100s': it is too long",
                             patterns[i]);
        if (regex_translate(patterns[i], texts, literals, f) < 0)
            return -1;
        buffer_add(texts, "", 1);
    }
    return texts->failed ? fault_set(f, 400, "the patterns are too long") : 0;
}

static bool is_caseless(enum grep_case letter_case,
                        const struct buffer *literals) {
    return letter_case == GREP_INSENSITIVE ||
           (letter_case == GREP_SMART && !has_upper(literals));
}

static int compile_all(struct patterns *p, const char *const *patterns,
                       size_t count, enum grep_case letter_case,
                       struct fault *f) {
    struct buffer texts, literals;
    buffer_init(&texts, 8 << 20);
    buffer_init(&literals, 8 << 20);
    int result = translate(patterns, count, &texts, &literals, f);
    uint32_t flags = PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF |
                     PCRE2_NEVER_BACKSLASH_C |
                     (is_caseless(letter_case, &literals) ? PCRE2_CASELESS : 0);
    const char *text = texts.data;
    for (; result == 0 && p->count < count; p->count++) {
        p->codes[p->count] = compile(patterns[p->count], text, flags, f);
        if (!p->codes[p->count])
            result = -1;
        text += strlen(text) + 1;
    }
    buffer_free(&texts);
    buffer_free(&literals);
    return result;
}

/* What matching needs beside the patterns. */
static int make_room(struct patterns *p, struct fault *f) {
    p->match = pcre2_match_data_create(1, NULL);
    p->limits = pcre2_match_context_create(NULL);
    p->stack = pcre2_jit_stack_create(32 << 10, 1 << 20, NULL);
    p->submatches = malloc(MAX_SUBMATCHES * sizeof *p->submatches);
    if (!p->match || !p->limits || !p->stack || !p->submatches)
        return fault_memory(f);
    pcre2_set_match_limit(p->limits, MATCH_LIMIT);
    pcre2_set_heap_limit(p->limits, HEAP_LIMIT);
    pcre2_jit_stack_assign(p->limits, NULL, p->stack);
    return 0;
}

struct patterns *patterns_make(const char *const *patterns, size_t count,
                               enum grep_case letter_case, struct fault *f) {
    if (count == 0) {
        fault_set(f, 400, "pattern is required");
        return NULL;
    }
    struct patterns *p = calloc(1, sizeof *p + count * sizeof *p->codes);
    if (!p) {
        fault_memory(f);
        return NULL;
    }
    if (make_room(p, f) < 0 ||
        compile_all(p, patterns, count, letter_case, f) < 0) {
        patterns_free(p);
        return NULL;
    }
    return p;
}

void patterns_free(struct patterns *p) {
    if (!p)
        return;
    for (size_t i = 0; i < p->count; i++)
        pcre2_code_free(p->codes[i]);
    pcre2_match_data_free(p->match);
    pcre2_match_context_free(p->limits);
    pcre2_jit_stack_free(p->stack);
    free(p->submatches);
    free(p);
}

/* Finds the leftmost match of any pattern at or after `from`; of two at one
 * place that of the earlier pattern. False: no match. */
static bool find_match(struct patterns *p, const char *line, size_t length,
                       size_t from, struct grep_submatch *out, bool *complete) {
    bool found = false;
    for (size_t i = 0; i < p->count; i++) {
        int n = pcre2_match(p->codes[i], (PCRE2_SPTR)line, length, from, 0,
                            p->match, p->limits);
        if (n < 0 && n != PCRE2_ERROR_NOMATCH)
            *complete = false; /* too costly */
        if (n < 0)
            continue;
        PCRE2_SIZE *at = pcre2_get_ovector_pointer(p->match);
        /* \K can put the start after the end. */
        size_t end = at[1] < at[0] ? at[0] : at[1];
        if (!found || at[0] < out->start)
            *out = (struct grep_submatch){at[0], end};
        found = true;
    }
    return found;
}

size_t patterns_match(struct patterns *p, const char *line, size_t length,
                      const struct deadline *deadline,
                      const struct grep_submatch **list, bool *complete) {
    size_t from = 0, count = 0;
    *list = p->submatches;
    while (from <= length && count < MAX_SUBMATCHES) {
        struct grep_submatch *m = &p->submatches[count];
        if (!find_match(p, line, length, from, m, complete))
            break;
        count++;
        from = m->end + (m->end == m->start);
        /* Skip to the start of a character. */
        while (from < length && m->end == m->start &&
               ((unsigned char)line[from] & 0xc0) == 0x80)
            from++;
        if (deadline_is_over(deadline))
            break;
    }
    return count;
}
