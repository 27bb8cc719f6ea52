/* text.c: see text.h. Both versions are compared with the base. Where only one
 * of them changed something, its lines are taken. Changes that overlap or touch
 * make one place, at which both must say the same. */
#define _GNU_SOURCE
#include "merge/text.h"
#include "base/scope.h"
#include "core/edits.h"
#include <stdlib.h>
#include <string.h>

enum { LOOK = 8000 };

/* One version beside the base, and its change that comes next. */
struct version {
    struct edits_text base, text;
    void *room;
    struct edits_hunk at;
    bool more;
};

struct merging {
    struct version ours, theirs;
    uint32_t done; /* lines of the base that are settled */
    struct buffer *out;
};

bool merge_is_text(struct merge_text t) {
    return t.size == 0 ||
           !memchr(t.data, 0, t.size < LOOK ? t.size : (size_t)LOOK);
}

static void step(struct version *v) {
    v->more = edits_next(&v->base, &v->text, &v->at);
}

/* 1: compared; 0: too many lines; -1: fault. */
static int compare(struct version *v, struct merge_text base,
                   struct merge_text text, struct fault *f) {
    v->base = (struct edits_text){.data = base.data, .size = base.size};
    v->text = (struct edits_text){.data = text.data, .size = text.size};
    size_t room = edits_room(&v->base, &v->text);
    if (room == 0 || room > MERGE_ROOM_MAX)
        return 0;
    v->room = malloc(room);
    if (!v->room)
        return fault_memory(f);
    edits_find(&v->base, &v->text, v->room);
    edits_settle(&v->base, &v->text);
    step(v);
    return 1;
}

static void copy(struct merging *m, const struct edits_text *t, uint32_t from,
                 uint32_t to) {
    if (from < to)
        buffer_add(m->out, t->data + t->start[from],
                   t->start[to] - t->start[from]);
}

static void copy_base(struct merging *m, uint32_t to) {
    copy(m, &m->ours.base, m->done, to);
    m->done = to;
}

static void take(struct merging *m, struct version *v) {
    copy_base(m, v->at.old);
    copy(m, &v->text, v->at.new, v->at.new_end);
    m->done = v->at.old_end;
    step(v);
}

static bool is_before(const struct version *a, const struct version *b) {
    return a->more && (!b->more || a->at.old_end < b->at.old);
}

/* Adds the next change of a version to the place that ends at *end, if it
 * overlaps or touches it. */
static bool absorb(struct version *v, uint32_t *end) {
    if (!v->more || v->at.old > *end)
        return false;
    if (v->at.old_end > *end)
        *end = v->at.old_end;
    step(v);
    return true;
}

/* The line of the version that stands beside the end of the place; the next
 * change, if any, is behind it. */
static uint32_t line_beside(const struct version *v, uint32_t base) {
    return v->more ? v->at.new - (v->at.old - base)
                   : v->text.count - (v->base.count - base);
}

static bool same_lines(const struct edits_text *a, const uint32_t x[2],
                       const struct edits_text *b, const uint32_t y[2]) {
    uint32_t from = a->start[x[0]], size = a->start[x[1]] - from;
    uint32_t other = b->start[y[0]];
    return size == b->start[y[1]] - other &&
           memcmp(a->data + from, b->data + other, size) == 0;
}

/* Changes of both at one place. False: they differ. */
static bool take_both(struct merging *m) {
    struct version *a = &m->ours, *b = &m->theirs;
    uint32_t start = a->at.old < b->at.old ? a->at.old : b->at.old;
    uint32_t end = start;
    const uint32_t x = line_beside(a, start), y = line_beside(b, start);
    while (absorb(a, &end) || absorb(b, &end))
        ;
    const uint32_t ours[2] = {x, line_beside(a, end)};
    const uint32_t theirs[2] = {y, line_beside(b, end)};
    if (!same_lines(&a->text, ours, &b->text, theirs))
        return false;
    copy_base(m, start);
    copy(m, &a->text, ours[0], ours[1]);
    m->done = end;
    return true;
}

static int merge(struct merging *m) {
    struct version *a = &m->ours, *b = &m->theirs;
    while (a->more || b->more)
        if (is_before(a, b))
            take(m, a);
        else if (is_before(b, a))
            take(m, b);
        else if (!take_both(m))
            return 0;
    copy_base(m, a->base.count);
    return 1;
}

int merge_texts(struct merge_text base, struct merge_text ours,
                struct merge_text theirs, struct buffer *out, struct fault *f) {
    struct merging m = {.out = out};
    int result = compare(&m.ours, base, ours, f);
    if (result == 1)
        result = compare(&m.theirs, base, theirs, f);
    if (result == 1)
        result = merge(&m);
    free(m.ours.room);
    free(m.theirs.room);
    return out->failed ? fault_memory(f) : result;
}
