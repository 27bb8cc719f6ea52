/* glob.c: see glob.h. */
#include "base/glob.h"
#include <string.h>

/* Translates a [class]. Returns what follows it, or NULL when it has no end. */
static const char *translate_class(const char *p, struct buffer *out) {
    const char *end = p + 1;
    end += *end == '!' || *end == '^';
    end += *end == ']';
    end += strcspn(end, "]");
    if (!*end)
        return NULL;
    /* A class never matches the separator. */
    buffer_addf(out, "(?!/)[");
    p++;
    if (*p == '!' || *p == '^') {
        buffer_addf(out, "^");
        p++;
    }
    for (; p < end; p++)
        buffer_addf(out, strchr("\\[]^", *p) ? "\\%c" : "%c", *p);
    buffer_addf(out, "]");
    return end + 1;
}

/* "**" between separators stands for any number of directories, also 0. */
static const char *translate_stars(const char *begin, const char *p,
                                   struct buffer *out) {
    bool at_start = p == begin || p[-1] == '/';
    if (p[1] != '*') {
        buffer_addf(out, "[^/]*");
        return p + 1;
    }
    if (at_start && p[2] == '/') {
        buffer_addf(out, "(?:.*/)?");
        return p + 3;
    }
    buffer_addf(out, ".*");
    return p + 2;
}

bool glob_to_regex(const char *glob, struct buffer *out) {
    int depth = 0;
    const char *p = glob;
    buffer_addf(out, "\\A");
    while (*p) {
        switch (*p) {
        case '*':
            p = translate_stars(glob, p, out);
            continue;
        case '?':
            buffer_addf(out, "[^/]");
            break;
        case '[':
            if (!(p = translate_class(p, out)))
                return false;
            continue;
        case '{':
            depth++;
            buffer_addf(out, "(?:");
            break;
        case '}':
            buffer_addf(out, depth ? ")" : "\\}");
            depth -= depth > 0;
            break;
        case ',':
            buffer_addf(out, depth ? "|" : ",");
            break;
        case '\\':
            if (!*++p)
                return false;
            /* fall through */
        default:
            buffer_addf(out, strchr("\\^$.[]|()*+?{}-#", *p) ? "\\%c" : "%c",
                        *p);
        }
        p++;
    }
    return buffer_addf(out, "\\z") && depth == 0;
}
