/* diff.c: see diff.h.
 *
 * The two views are walked side by side. Where a directory has the same shared
 * layers in both, only names in the layers that are not shared can differ, so
 * only those are read: a diff costs what the changes cost, not the images. */
#define _GNU_SOURCE
#include "view/diff.h"
#include "view/merge.h"
#include <stdlib.h>
#include <string.h>

enum { BASE, IMAGE, BESIDE };

/* A directory in one of the two views; no parts: it is not there. */
struct side {
    struct parts parts;
    struct entries entries;
    size_t read; /* the entries are of so many of the parts */
    size_t next;
};

/* A directory that is being compared: the first `length` bytes of diff.path. */
struct diff_step {
    struct diff_step *up;
    size_t length;
    struct side sides[2];
    struct parts beside; /* of the third view, whose names are not listed */
    bool blocked;        /* the third view has no such directory, but a file */
};

struct diff {
    const struct view *views[3]; /* the third may be NULL */
    size_t shared;               /* layers at the bottom of the first two */
    const struct diff_options *options;
    bool (*visit)(void *arg, const struct change *c);
    void *arg;
    int64_t told;
    bool stopped, truncated;
    struct diff_step *top;
    char path[INSPECT_PATH];
    struct fault *f;
};

static int failed(struct diff *d) {
    return fault_errno(d->f, "comparing /%.300s", d->path);
}

static size_t count_shared(const struct view *a, const struct view *b) {
    size_t n = 0;
    while (n < a->count && n < b->count &&
           a->layers[a->count - 1 - n] == b->layers[b->count - 1 - n])
        n++;
    return n;
}

/* How many of the parts are layers of this view only; they come first. */
static size_t count_own(const struct diff *d, int side, const struct parts *p) {
    size_t n = 0;
    while (n < p->count && p->layers[n] + d->shared < d->views[side]->count)
        n++;
    return n;
}

/* Whether a directory is in the same shared layers in both views. */
static bool same_shared(const struct diff *d, const struct parts *a,
                        const struct parts *b) {
    size_t i = count_own(d, BASE, a), j = count_own(d, IMAGE, b);
    if (a->count - i != b->count - j)
        return false;
    for (; i < a->count; i++, j++)
        if (d->views[BASE]->layers[a->layers[i]] !=
            d->views[IMAGE]->layers[b->layers[j]])
            return false;
    return true;
}

static void pop(struct diff *d) {
    struct diff_step *s = d->top;
    d->top = s->up;
    for (int i = 0; i < 2; i++) {
        parts_free(&s->sides[i].parts);
        entries_free(&s->sides[i].entries);
    }
    parts_free(&s->beside);
    free(s);
}

/* Enters the directory d->path; takes the lists of parts over. */
static int push(struct diff *d, struct node n[3], bool blocked) {
    struct parts *base = &n[BASE].parts, *image = &n[IMAGE].parts;
    struct diff_step *s = calloc(1, sizeof *s);
    if (!s)
        return fault_memory(d->f);
    bool same = same_shared(d, base, image);
    *s = (struct diff_step){.up = d->top,
                            .length = strlen(d->path),
                            .sides = {{.parts = *base}, {.parts = *image}},
                            .beside = n[BESIDE].parts,
                            .blocked = blocked};
    *base = *image = n[BESIDE].parts = (struct parts){0};
    d->top = s;
    for (int i = 0; i < 2; i++) {
        struct side *x = &s->sides[i];
        x->read = same ? count_own(d, i, &x->parts) : x->parts.count;
        struct parts part = {x->parts.layers, x->read};
        if (view_entries(d->views[i], &part, d->path, &x->entries, d->f) < 0)
            return -1;
    }
    return 0;
}

static const char *current(const struct side *s) {
    return s->next < s->entries.count
               ? s->entries.text.data + s->entries.list[s->next].name
               : NULL;
}

/* The next name in either list; NULL at the end. from[]: the first position in
 * each list of parts that can have it. */
static const char *next_name(struct diff_step *s, size_t from[2]) {
    const char *a = current(&s->sides[BASE]), *b = current(&s->sides[IMAGE]);
    int order = !a ? 1 : !b ? -1 : strcmp(a, b);
    for (int i = 0; i < 2; i++) {
        struct side *x = &s->sides[i];
        bool here = i == BASE ? a && order <= 0 : b && order >= 0;
        from[i] = here ? x->entries.list[x->next++].position : x->read;
    }
    return order <= 0 ? a : b;
}

static void tell(struct diff *d, enum change_kind kind,
                 const struct placed p[3], const bool found[3], bool blocked) {
    struct change c = {d->path,
                       kind,
                       p[kind == CHANGE_REMOVED ? BASE : IMAGE].st,
                       kind == CHANGE_CHANGED ? &p[BASE].st : NULL,
                       found[BASE] ? &p[BASE] : NULL,
                       found[IMAGE] ? &p[IMAGE] : NULL,
                       found[BESIDE] ? &p[BESIDE] : NULL,
                       blocked};
    if (d->told == d->options->limit)
        d->truncated = true;
    else if (d->visit(d->arg, &c))
        d->told++;
    else
        d->stopped = true;
}

/* 1: the same, whatever a directory holds; 0: changed; -1: fault. */
static int same_node(struct diff *d, const struct placed p[2]) {
    const struct stat *a = &p[BASE].st, *b = &p[IMAGE].st;
    int dir_fd = d->views[BASE]->dir_fd;
    if (placed_is_one(&p[BASE], &p[IMAGE]))
        return 1;
    if (a->st_mode != b->st_mode || a->st_uid != b->st_uid ||
        a->st_gid != b->st_gid)
        return 0;
    int same = placed_same_content(dir_fd, d->path, &p[BASE], &p[IMAGE],
                                   &d->options->deadline, d->f);
    if (same != 1 || !d->options->attributes)
        return same;
    return placed_same_attributes(dir_fd, d->path, &p[BASE], &p[IMAGE], d->f);
}

enum { OUTSIDE, ABOVE, INSIDE };

/* Where d->path lies relative to the path that was asked for. */
static int place_of(const struct diff *d) {
    const char *wanted = d->options->path ? d->options->path : "";
    size_t n = strlen(d->path), m = strlen(wanted);
    size_t common = n < m ? n : m;
    const char *longer = n < m ? wanted : d->path;
    if (memcmp(d->path, wanted, common) != 0 ||
        (common && longer[common] && longer[common] != '/'))
        return OUTSIDE;
    return n < m ? ABOVE : INSIDE;
}

static void place_nodes(const struct diff *d, const struct node n[3],
                        const bool found[3], struct placed out[3]) {
    for (int i = 0; i < 3; i++)
        if (found[i])
            out[i] = (struct placed){n[i].st, d->views[i]->layers[n[i].layer]};
}

/* Reports one path and enters it if it is a directory. */
static int compare(struct diff *d, struct node n[3], const bool found[3]) {
    struct placed p[3] = {0};
    bool above = d->top && d->top->blocked;
    int place = place_of(d), same = 1;
    if (place == OUTSIDE || (!found[BASE] && !found[IMAGE]))
        return 0;
    place_nodes(d, n, found, p);
    if (place == INSIDE)
        same = found[BASE] && found[IMAGE] ? same_node(d, p) : 0;
    if (same < 0)
        return -1;
    if (!same)
        tell(d,
             !found[BASE]    ? CHANGE_ADDED
             : !found[IMAGE] ? CHANGE_REMOVED
                             : CHANGE_CHANGED,
             p, found, above);
    if (d->stopped || d->truncated ||
        !(n[BASE].parts.count + n[IMAGE].parts.count))
        return 0;
    return push(d, n, above || (found[BESIDE] && !n[BESIDE].parts.count));
}

/* The entry `name` of the current directory in each view. */
static int find(struct diff *d, const char *name, const size_t from[2],
                struct node n[3], bool found[3]) {
    struct diff_step *s = d->top;
    for (int i = 0; i < 3; i++) {
        const struct parts *in = i == BESIDE ? &s->beside : &s->sides[i].parts;
        if (!d->views[i])
            continue;
        int there = view_find(d->views[i], in, d->path, name,
                              i == BESIDE ? 0 : from[i], &n[i]);
        if (there < 0)
            return failed(d);
        found[i] = there == 1;
    }
    return 0;
}

static void free_nodes(struct node n[3]) {
    for (int i = 0; i < 3; i++)
        parts_free(&n[i].parts);
}

static int compare_name(struct diff *d, const char *name,
                        const size_t from[2]) {
    struct diff_step *s = d->top;
    struct node n[3] = {0};
    bool found[3] = {false, false, false};
    if (s->length + strlen(name) + 2 > INSPECT_PATH)
        return fault_set(d->f, 422, "/%.300s... is deeper than %d bytes",
                         d->path, INSPECT_PATH);
    int result = find(d, name, from, n, found);
    if (result == 0) {
        char *end = d->path + s->length;
        if (s->length)
            *end++ = '/';
        memcpy(end, name, strlen(name) + 1);
        result = compare(d, n, found);
    }
    free_nodes(n);
    return result;
}

static int compare_all(struct diff *d) {
    size_t from[2];
    while (d->top && !d->stopped && !d->truncated) {
        d->path[d->top->length] = 0;
        const char *name = next_name(d->top, from);
        if (!name)
            pop(d);
        else if (compare_name(d, name, from) < 0)
            return -1;
        if (deadline_is_over(&d->options->deadline))
            d->truncated = true;
    }
    return 0;
}

static int compare_roots(struct diff *d) {
    struct node n[3] = {0};
    const bool found[3] = {true, true, d->views[BESIDE] != NULL};
    int result = 0;
    for (int i = 0; i < 3 && result == 0; i++)
        if (found[i] && view_root(d->views[i], &n[i]) < 0)
            result = failed(d);
    if (result == 0)
        result = compare(d, n, found);
    free_nodes(n);
    return result;
}

int inspect_diff(struct view *base, struct view *image,
                 const struct diff_options *o,
                 bool (*visit)(void *arg, const struct change *c), void *arg,
                 bool *truncated, struct fault *f) {
    struct diff *d = calloc(1, sizeof *d);
    if (!d)
        return fault_memory(f);
    *d = (struct diff){.views = {base, image, o->beside},
                       .shared = count_shared(base, image),
                       .options = o,
                       .visit = visit,
                       .arg = arg,
                       .f = f};
    int result = compare_roots(d) < 0 ? -1 : compare_all(d);
    while (d->top)
        pop(d);
    *truncated = d->truncated;
    free(d);
    return result;
}
