/* grep.c: GET /inspect/{uuid}/grep (http-api.md §4.22): the lines of an image's
 * files that match a pattern. */
#define _GNU_SOURCE
#include "view/grep.h"
#include "api/inspect.h"
#include "api/inspection.h"
#include "base/clock.h"
#include <stdlib.h>
#include <string.h>

enum {
    /* A reply ends here, and says that it is truncated. */
    REPLY_BYTES = 32 << 20,
    TOTAL = 1000,
    TOTAL_MAX = 1000000,
    SECONDS = 30,
    PARAMETERS = 256
};

enum { PATTERNS, PATHS, GLOBS, SLOTS };

struct grep_job {
    struct inspect_job job;
    struct grep_options options;
    char *strings[SLOTS][PARAMETERS]; /* copies; NULL: not given */
};

static void grep_clear(struct inspect_job *j) {
    struct grep_job *g = (struct grep_job *)j;
    for (int slot = 0; slot < SLOTS; slot++)
        for (int i = 0; i < PARAMETERS && g->strings[slot][i]; i++)
            free(g->strings[slot][i]);
}

struct matches {
    struct buffer *out;
    bool full;
};

static bool add_match(void *arg, const struct grep_line *m) {
    struct matches *all = arg;
    struct buffer *b = all->out;
    json_open(b, NULL, '{');
    json_add_name(b, "path", m->path);
    json_add_int(b, "line_number", m->number);
    json_add_int(b, "absolute_offset", m->offset);
    json_add_text(b, "line_text", m->text, m->length);
    json_add_int(b, "line_bytes", (int64_t)m->length);
    if (!json_is_utf8(m->text, m->length))
        json_add_base64(b, "line_base64", m->text, m->length);
    json_open(b, "submatches", '[');
    for (size_t i = 0; i < m->submatch_count; i++) {
        const struct grep_submatch *s = &m->submatches[i];
        json_open(b, NULL, '{');
        json_add_text(b, "text", m->text + s->start, s->end - s->start);
        json_add_int(b, "start", (int64_t)s->start);
        json_add_int(b, "end", (int64_t)s->end);
        json_close(b, '}');
    }
    json_close(b, ']');
    json_add_string(b, "type", m->submatch_count ? "match" : "context");
    json_close(b, '}');
    all->full = b->length > REPLY_BYTES;
    return !b->failed && !all->full;
}

static int grep_work(struct inspect_job *j, struct view *v) {
    struct grep_job *g = (struct grep_job *)j;
    struct buffer *b = &j->reply;
    struct matches all = {b, false};
    bool truncated;
    g->options.deadline.at = monotonic_seconds() + SECONDS;
    g->options.deadline.cancelled = &j->cancelled;
    json_open(b, NULL, '{');
    json_add_name(b, "path", g->options.path_count ? g->options.paths[0] : "/");
    json_open(b, "patterns", '[');
    for (size_t i = 0; i < g->options.pattern_count; i++)
        json_add_string(b, NULL, g->options.patterns[i]);
    json_close(b, ']');
    json_open(b, "matches", '[');
    if (inspect_grep(v, &g->options, add_match, &all, &truncated, &j->fault) <
        0)
        return -1;
    json_close(b, ']');
    json_add_bool(b, "truncated", truncated || all.full);
    json_close(b, '}');
    return 0;
}

/* Copy the values of a repeated parameter: the request may be gone before the
 * worker has ended. */
static int copy_values(struct grep_job *g, int slot, const char *name,
                       size_t *count, struct fault *f) {
    const struct url *u = request_url(g->job.at.request);
    const char *value;
    size_t at = 0;
    while ((value = url_next(u, name, &at)) != NULL) {
        if (*count == PARAMETERS)
            return fault_set(f, 400, "more than %d of %s", PARAMETERS, name);
        char *copy = slot == PATHS ? path_rooted(value, f) : strdup(value);
        if (!copy)
            return slot == PATHS ? -1 : fault_memory(f);
        g->strings[slot][(*count)++] = copy;
    }
    return 0;
}

static int read_strings(struct grep_job *g, struct fault *f) {
    struct grep_options *o = &g->options;
    o->patterns = (const char *const *)g->strings[PATTERNS];
    o->paths = (const char *const *)g->strings[PATHS];
    o->globs = (const char *const *)g->strings[GLOBS];
    if (copy_values(g, PATTERNS, "pattern", &o->pattern_count, f) < 0 ||
        copy_values(g, PATHS, "path", &o->path_count, f) < 0)
        return -1;
    return copy_values(g, GLOBS, "glob", &o->glob_count, f);
}

static int read_case(const struct url *u, enum grep_case *out,
                     struct fault *f) {
    const char *value = url_parameter(u, "case");
    if (!value || strcmp(value, "sensitive") == 0)
        *out = GREP_SENSITIVE;
    else if (strcmp(value, "insensitive") == 0)
        *out = GREP_INSENSITIVE;
    else if (strcmp(value, "smart") == 0)
        *out = GREP_SMART;
    else
        return fault_set(f, 400,
                         "case must be sensitive, insensitive or smart");
    return 0;
}

static int read_grep(struct grep_job *g, struct fault *f) {
    const struct url *u = request_url(g->job.at.request);
    struct grep_options *o = &g->options;
    o->max_total = TOTAL;
    if (read_strings(g, f) < 0 || read_case(u, &o->letter_case, f) < 0 ||
        url_int(u, "max_count", 1, INT32_MAX, &o->max_count, f) < 0 ||
        url_int(u, "max_total", 1, TOTAL_MAX, &o->max_total, f) < 0 ||
        url_int(u, "before", 0, 1000, &o->before, f) < 0 ||
        url_int(u, "after", 0, 1000, &o->after, f) < 0)
        return -1;
    if (o->pattern_count == 0)
        return fault_set(f, 400, "pattern is required");
    return 0;
}

void inspect_grep_get(struct request *r) {
    struct grep_job *g = inspect_job_new(r, sizeof *g, grep_work);
    struct fault f;
    if (!g)
        return;
    g->job.clear = grep_clear;
    if (read_grep(g, &f) < 0)
        inspect_job_refuse(&g->job, &f);
    else
        inspect_job_start(&g->job);
}
