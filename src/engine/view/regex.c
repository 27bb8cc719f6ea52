/* regex.c: see regex.h. One pass from left to right copies each part or writes
 * it anew. */
#define _GNU_SOURCE
#include "view/regex.h"
#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct translation {
    const char *pattern, *p;
    struct buffer *out, *literals;
    struct fault *f;
    bool refused;
};

static void refuse(struct translation *t, const char *what) {
    if (!t->refused)
        fault_set(t->f, 400, "bad pattern '%.100s': %s (at byte %zu)",
                  t->pattern, what, (size_t)(t->p - t->pattern));
    t->refused = true;
}

/* Copies `n` bytes. */
static void copy(struct translation *t, size_t n) {
    buffer_add(t->out, t->p, n);
    t->p += n;
}

/* Writes `text` in place of `n` bytes. */
static void put(struct translation *t, size_t n, const char *text) {
    buffer_add(t->out, text, strlen(text));
    t->p += n;
}

static void add_literal(struct translation *t, uint32_t c) {
    char utf8[4];
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n; i-- > 1; c >>= 6)
        utf8[i] = (char)(0x80 | (c & 0x3f));
    utf8[0] = (char)(lead[n] | c);
    buffer_add(t->literals, utf8, n);
}

/* \xHH, \x{H...} and their like, with `width` digits when there are no braces.
 * Written as \x{...}. */
static void character(struct translation *t, size_t width) {
    const char *digits = t->p + 2;
    bool braces = *digits == '{';
    digits += braces;
    size_t n = strspn(digits, "0123456789abcdefABCDEF");
    if (!braces && n > width)
        n = width;
    if (n == 0 || n > 8 || (braces ? digits[n] != '}' : n < width)) {
        refuse(t, "a character's number is not complete");
        return;
    }
    char number[16];
    snprintf(number, sizeof number, "%.*s", (int)n, digits);
    unsigned long c = strtoul(number, NULL, 16);
    if (c <= 0x10ffff)
        add_literal(t, (uint32_t)c);
    buffer_addf(t->out, "\\x{%s}", number);
    t->p = digits + n + braces;
}

/* \b{start} and its like. */
static void boundary(struct translation *t) {
    static const struct {
        const char *name, *means;
    } known[] = {
        {"{start}", "\\b(?=\\w)"},
        {"{end}", "\\b(?<=\\w)"},
        {"{start-half}", "(?<!\\w)"},
        {"{end-half}", "(?!\\w)"},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        size_t n = strlen(known[i].name);
        if (strncmp(t->p + 2, known[i].name, n) == 0) {
            put(t, 2 + n, known[i].means);
            return;
        }
    }
    refuse(t, "\\b takes {start}, {end}, {start-half} or {end-half}");
}

static void property(struct translation *t) {
    const char *end = t->p[2] == '{' ? strchr(t->p, '}') : NULL;
    copy(t, end ? (size_t)(end - t->p) + 1 : 2 + (t->p[2] != 0));
}

/* From a backslash on. */
static void escape(struct translation *t, bool in_class) {
    char c = t->p[1];
    if (c == 'p' || c == 'P') {
        property(t);
    } else if (c == 'x' || c == 'u') {
        character(t, c == 'x' ? 2 : 4);
    } else if (c == 'U') {
        character(t, 8);
    } else if (c == 'v') {
        put(t, 2, "\\x{0B}"); /* PCRE2: any vertical white space */
    } else if (c == 'b' && t->p[2] == '{' && !in_class) {
        boundary(t);
    } else if (c == '<' && !in_class) {
        put(t, 2, "\\b(?=\\w)"); /* PCRE2: the character < */
    } else if (c == '>' && !in_class) {
        put(t, 2, "\\b(?<=\\w)");
    } else if (c == 'Q' || c == 'E') {
        refuse(t, "\\Q and \\E are not known");
    } else {
        copy(t, 1 + (c != 0));
    }
}

/* ASCII only, as in Rust; those of PCRE2 would have all scripts. */
static const struct {
    const char *name;
    int (*has)(int c);
} posix[] = {{"alnum", isalnum}, {"alpha", isalpha},  {"ascii", isascii},
             {"blank", isblank}, {"cntrl", iscntrl},  {"digit", isdigit},
             {"graph", isgraph}, {"lower", islower},  {"print", isprint},
             {"punct", ispunct}, {"space", isspace},  {"upper", isupper},
             {"word", isalnum},  {"xdigit", isxdigit}};

static void add_ascii(struct translation *t, size_t which, bool negated) {
    bool word = strcmp(posix[which].name, "word") == 0;
    for (int c = 0; c < 128; c++) {
        bool has = posix[which].has(c) || (word && c == '_');
        if (has != negated)
            buffer_addf(t->out, "\\x{%02X}", c);
    }
    if (negated)
        buffer_addf(t->out, "\\x{80}-\\x{10FFFF}");
}

/* [:name:] within a class; false when the name is unknown. */
static bool named_class(struct translation *t) {
    const char *name = t->p + 2, *end = strstr(name, ":]");
    bool negated = *name == '^';
    name += negated;
    for (size_t i = 0; end && i < sizeof posix / sizeof *posix; i++) {
        size_t n = strlen(posix[i].name);
        if ((size_t)(end - name) == n && memcmp(name, posix[i].name, n) == 0) {
            add_ascii(t, i, negated);
            t->p = end + 2;
            return true;
        }
    }
    return false;
}

/* One character as it stands. */
static void literal(struct translation *t) {
    size_t n = 1;
    while (((unsigned char)t->p[n] & 0xc0) == 0x80)
        n++;
    buffer_add(t->literals, t->p, n);
    copy(t, n);
}

static bool is_set_operator(const char *p) {
    return (*p == '&' || *p == '-' || *p == '~') && p[1] == *p;
}

static void class(struct translation *t) {
    copy(t, 1 + (t->p[1] == '^'));
    if (*t->p == ']')
        put(t, 1, "\\]");
    while (*t->p && *t->p != ']' && !t->refused) {
        if (*t->p == '\\')
            escape(t, true);
        else if (is_set_operator(t->p))
            refuse(t, "&&, -- and ~~ of classes are not known here: spell the "
                      "class out, or put a backslash before the signs");
        else if (*t->p != '[')
            literal(t);
        else if (t->p[1] != ':' || !named_class(t))
            refuse(t, "a class within a class is not known here: spell it "
                      "out, or put a backslash before the [");
    }
    copy(t, *t->p != 0);
}

/* (?flags) and (?flags:...); p[2] is the first of them. */
static void flags(struct translation *t) {
    size_t n = strspn(t->p + 2, "imsUxR-");
    copy(t, 2);
    for (; n > 0 && !t->refused; n--)
        if (*t->p == 'R')
            refuse(t, "the flag R is not known here");
        else if (*t->p == 'x')
            put(t, 1, "xx"); /* within classes, too */
        else
            copy(t, 1);
}

static void group(struct translation *t) {
    if (t->p[1] == '*') {
        refuse(t, "there is nothing to repeat");
        return;
    }
    if (t->p[1] != '?') {
        copy(t, 1);
        return;
    }
    const char *name = t->p + 2 + (t->p[2] == 'P');
    if (*name == '<' && (isalpha((unsigned char)name[1]) || name[1] == '_'))
        copy(t, (size_t)(name - t->p) + strcspn(name, ">"));
    else
        flags(t);
}

/* The length of {n}, {n,} or {n,m}, or 0. */
static size_t counted(const char *p) {
    size_t n = 1 + strspn(p + 1, "0123456789");
    if (n == 1)
        return 0;
    if (p[n] == ',')
        n += 1 + strspn(p + n + 1, "0123456789");
    return p[n] == '}' ? n + 1 : 0;
}

/* "a++" repeats a repetition in Rust, but is possessive in PCRE2. */
static void repetition(struct translation *t, size_t length) {
    copy(t, length);
    if (*t->p == '+')
        refuse(t, "a repetition is repeated: put the first into a group, as in "
                  "(?:a+)+");
    copy(t, *t->p == '?');
}

static void part(struct translation *t) {
    char c = *t->p;
    size_t count = c == '{' ? counted(t->p) : 0;
    if (c == '\\')
        escape(t, false);
    else if (c == '[')
        class(t);
    else if (c == '(')
        group(t);
    else if (c == '*' || c == '+' || c == '?' || count)
        repetition(t, count ? count : 1);
    else if (c == '{')
        put(t, 1, "\\{");
    else
        literal(t);
}

int regex_translate(const char *pattern, struct buffer *out,
                    struct buffer *literals, struct fault *f) {
    struct translation t = {.pattern = pattern,
                            .p = pattern,
                            .out = out,
                            .literals = literals,
                            .f = f};
    while (*t.p && !t.refused)
        part(&t);
    if (!t.refused && (out->failed || literals->failed))
        return fault_set(f, 400, "bad pattern '%.100s': it is too long",
                         pattern);
    return t.refused ? -1 : 0;
}
