/* tree.c: see tree.h. The differences between base and theirs are visited,
 * parents first, each with what ours has there. */
#define _GNU_SOURCE
#include "merge/tree.h"
#include "merge/versions.h"
#include "view/diff.h"
#include "view/view.h"
#include "view/walk.h"
#include <stdio.h>
#include <string.h>

struct merging {
    const struct tree_merge *t;
    bool done; /* all at `settled` and below is decided */
    char settled[INSPECT_PATH];
    bool hiding; /* nothing stays at `hidden` and below: only conflicts count */
    char hidden[INSPECT_PATH];
    int result;
    struct fault *f;
};

static bool is_directory(const struct placed *p) {
    return p && S_ISDIR(p->st.st_mode);
}

static bool is_below(const char *path, const char *top) {
    size_t n = strlen(top);
    return strncmp(path, top, n) == 0 && (n == 0 || !path[n] || path[n] == '/');
}

/* Nothing at this path, or below it, is to be visited any more. */
static void settle(struct merging *m, const char *path) {
    m->done = true;
    snprintf(m->settled, sizeof m->settled, "%s", path);
}

/* Whether the result is still wanted. */
static bool is_wanted(const struct merging *m) {
    return m->t->conflicts->count == 0 || m->t->prefer != MERGE_NEITHER;
}

static bool writes(const struct merging *m) {
    return is_wanted(m) && !m->hiding;
}

/* Find a path of a view in which no link leads there. 1, 0, or -1. */
static int look(struct view *v, const char *path, struct placed *out,
                struct fault *f) {
    char absolute[INSPECT_PATH + 1];
    struct item item;
    snprintf(absolute, sizeof absolute, "/%s", path);
    if (inspect_stat(v, absolute, false, &item, f) < 0)
        return f->status < 500 ? 0 : -1;
    if (strcmp(item.path, path) != 0)
        return 0;
    *out = (struct placed){item.st, item.layer};
    return 1;
}

int merge_look(const struct tree_merge *t, const char *path,
               struct upper_like *out, struct fault *f) {
    struct view *views[] = {t->ours, t->theirs};
    for (int i = 0; i < 2; i++) {
        int found = look(views[i], path, &out->attributes, f);
        if (found < 0)
            return -1;
        out->st = out->attributes.st;
        if (found && is_directory(&out->attributes))
            return 0;
    }
    return fault_set(f, 500, "merging: /%.300s is no directory", path);
}

/* ---- writing ---- */

static int hide(struct merging *m, const char *path) {
    return writes(m) ? upper_hide(m->t->upper, path) : 0;
}

static int put(struct merging *m, const char *path, const struct placed *from) {
    const struct upper_like like = {from->st, *from};
    if (!writes(m))
        return 0;
    return is_directory(from)
               ? upper_directory(m->t->upper, path, &like)
               : upper_copy(m->t->upper, path, from, &like, true);
}

/* All that theirs has at a path and below. */
static int put_tree(struct merging *m, const char *path) {
    char absolute[INSPECT_PATH + 1];
    struct item item;
    int more = 1;
    if (!writes(m))
        return 0;
    snprintf(absolute, sizeof absolute, "/%s", path);
    struct walk *w = walk_begin(m->t->theirs, absolute, m->f);
    while (w && more == 1 && (more = walk_next(w, &item, m->f)) == 1) {
        const struct placed from = {item.st, item.layer};
        if (deadline_check(&m->t->deadline, "the merge", m->f) < 0 ||
            put(m, item.path, &from) < 0)
            more = -1;
    }
    walk_end(w);
    return w ? more : -1;
}

/* Theirs instead of ours, which is something. */
static int replace(struct merging *m, const char *path,
                   const struct placed *ours, const struct placed *theirs) {
    if (!theirs)
        return hide(m, path);
    return is_directory(theirs) && !is_directory(ours) ? put_tree(m, path)
                                                       : put(m, path, theirs);
}

/* ---- conflicts ---- */

static int conflict(struct merging *m, const char *path, const char *kind,
                    const struct placed *base, const struct placed *ours,
                    const struct placed *theirs) {
    if (conflicts_add(m->t->conflicts, path, kind, base, ours, theirs, m->f) <
        0)
        return -1;
    int result = m->t->prefer != MERGE_THEIRS ? 0
                 : ours                       ? replace(m, path, ours, theirs)
                                              : put(m, path, theirs);
    bool directories = is_directory(ours) && is_directory(theirs);
    if (!directories && (is_directory(base) || is_directory(theirs)))
        settle(m, path);
    return result;
}

/* Ours has something else where theirs has a directory with changes. */
static int conflict_above(struct merging *m, const char *path) {
    char above[INSPECT_PATH];
    struct placed p[3];
    int found[3] = {0};
    struct view *views[] = {m->t->base, m->t->ours, m->t->theirs};
    for (const char *end = path; (end = strchr(end + 1, '/'));) {
        snprintf(above, sizeof above, "%.*s", (int)(end - path), path);
        if ((found[1] = look(m->t->ours, above, &p[1], m->f)) < 0)
            return -1;
        if (found[1] && !is_directory(&p[1]))
            break;
    }
    for (int i = 0; i < 3; i++)
        if ((found[i] = look(views[i], above, &p[i], m->f)) < 0)
            return -1;
    settle(m, above);
    return conflict(m, above, "type", found[0] ? &p[0] : NULL,
                    found[1] ? &p[1] : NULL, found[2] ? &p[2] : NULL);
}

/* ---- decisions ---- */

/* What a directory has that keeps it though the other side removed it. */
struct news {
    bool some;    /* there is something new, or a conflict */
    bool certain; /* there is something new, whoever is preferred */
};

static bool is_kept(void *arg, const struct change *c) {
    struct news *n = arg;
    bool was_directory = c->was && S_ISDIR(c->was->st_mode);
    bool changed = c->kind == CHANGE_CHANGED;
    if (c->kind == CHANGE_ADDED ||
        (changed && S_ISDIR(c->st.st_mode) != was_directory))
        n->some = n->certain = true;
    else if (changed && !was_directory)
        n->some = true;
    return !n->certain;
}

/* Whether ours has done more to a directory of the base than remove from it. */
static int find_news(struct merging *m, const char *path, struct news *out) {
    const struct diff_options o = {.limit = INT64_MAX,
                                   .path = path,
                                   .deadline = m->t->deadline,
                                   .attributes = true};
    bool truncated;
    *out = (struct news){0};
    if (inspect_diff(m->t->base, m->t->ours, &o, is_kept, out, &truncated,
                     m->f) < 0 ||
        (truncated && deadline_check(&m->t->deadline, "the merge", m->f) < 0))
        return -1;
    if (truncated) /* what was not seen may be new */
        out->some = out->certain = true;
    return 0;
}

static int same(struct merging *m, const char *path, const struct placed *a,
                const struct placed *b) {
    const struct versions v = {
        .dir_fd = m->t->dir_fd, .path = path, .deadline = &m->t->deadline};
    return versions_same(&v, a, b, m->f);
}

static int write_verdict(struct merging *m, const char *path,
                         const struct placed *theirs, struct verdict *d) {
    struct upper *u = m->t->upper;
    if (!writes(m))
        return 0;
    if (S_ISDIR(d->like.st.st_mode))
        return upper_directory(u, path, &d->like);
    if (!d->content)
        return upper_text(u, path, d->text.data, d->text.length, &d->like);
    bool whole = d->content == theirs &&
                 placed_is_one(&d->like.attributes, theirs) &&
                 d->like.st.st_mode == theirs->st.st_mode &&
                 d->like.st.st_uid == theirs->st.st_uid &&
                 d->like.st.st_gid == theirs->st.st_gid;
    return upper_copy(u, path, d->content, &d->like, whole);
}

/* Both have a directory, or both something else. */
static int merge_entry(struct merging *m, const char *path,
                       const struct placed *base, const struct placed *ours,
                       const struct placed *theirs) {
    const struct versions v = {m->t->dir_fd, path,   base,
                               ours,         theirs, &m->t->deadline};
    struct verdict d;
    int result = versions_merge(&v, &d, m->f);
    if (result == 0 && d.conflict)
        result = conflict(m, path, d.conflict, base, ours, theirs);
    else if (result == 0 && d.changed)
        result = write_verdict(m, path, theirs, &d);
    buffer_free(&d.text);
    return result;
}

/* Its entries follow, one by one, if some of them stay or are conflicts. */
static int remove_directory(struct merging *m, const char *path) {
    struct news n;
    if (find_news(m, path, &n) < 0)
        return -1;
    if (n.certain || (n.some && m->t->prefer != MERGE_THEIRS))
        return 0;
    if (hide(m, path) < 0)
        return -1;
    if (!n.some) {
        settle(m, path);
    } else if (!m->hiding) {
        m->hiding = true;
        snprintf(m->hidden, sizeof m->hidden, "%s", path);
    }
    return 0;
}

static int merge_removed(struct merging *m, const struct change *c) {
    const struct placed *b = c->base, *o = c->beside;
    /* What ours has instead of a directory, or of a file, is new. */
    if (!o || is_directory(b) != is_directory(o))
        return 0;
    if (is_directory(b))
        return remove_directory(m, c->path);
    int unchanged = same(m, c->path, b, o);
    if (unchanged == 0)
        return conflict(m, c->path, "removed", b, o, NULL);
    return unchanged < 0 ? -1 : hide(m, c->path);
}

static int merge_added(struct merging *m, const struct change *c) {
    const struct placed *o = c->beside, *t = c->image;
    if (!o)
        return put(m, c->path, t);
    if (is_directory(o) != is_directory(t))
        return conflict(m, c->path, "type", NULL, o, t);
    return merge_entry(m, c->path, NULL, o, t);
}

/* Theirs has a directory instead of something else, or the reverse. */
static int merge_changed_type(struct merging *m, const struct change *c) {
    const struct placed *b = c->base, *o = c->beside, *t = c->image;
    if (is_directory(o) == is_directory(t))
        return merge_entry(m, c->path, NULL, o, t); /* so has ours */
    struct news n = {0};
    int unchanged =
        is_directory(b) ? find_news(m, c->path, &n) : same(m, c->path, b, o);
    if (unchanged < 0)
        return -1;
    if (is_directory(b) ? n.some : !unchanged)
        return conflict(m, c->path, "type", b, o, t);
    settle(m, c->path);
    return replace(m, c->path, o, t);
}

static int merge_changed(struct merging *m, const struct change *c) {
    const struct placed *b = c->base, *o = c->beside, *t = c->image;
    bool directories = is_directory(b) && is_directory(t);
    if (!o && directories)
        return 0; /* ours removed it; what is new in it follows */
    if (!o && (is_directory(b) || is_directory(t)))
        return put(m, c->path, t);
    if (!o)
        return conflict(m, c->path, "removed", b, NULL, t);
    if (is_directory(b) != is_directory(t))
        return merge_changed_type(m, c);
    if (is_directory(o) == is_directory(t))
        return merge_entry(m, c->path, b, o, t);
    /* Ours is of the other kind. What theirs has in a directory follows. */
    return directories ? 0 : conflict(m, c->path, "type", b, o, t);
}

static int merge_change(struct merging *m, const struct change *c) {
    bool directories = is_directory(c->base) && is_directory(c->image);
    if (m->done && is_below(c->path, m->settled))
        return 0;
    m->done = false;
    if (m->hiding && !is_below(c->path, m->hidden))
        m->hiding = false;
    if (deadline_check(&m->t->deadline, "the merge", m->f) < 0)
        return -1;
    if (c->blocked && c->kind != CHANGE_REMOVED && !directories)
        return conflict_above(m, c->path);
    if (c->blocked)
        return 0;
    return c->kind == CHANGE_REMOVED ? merge_removed(m, c)
           : c->kind == CHANGE_ADDED ? merge_added(m, c)
                                     : merge_changed(m, c);
}

static bool visit(void *arg, const struct change *c) {
    struct merging *m = arg;
    m->result = merge_change(m, c);
    return m->result == 0;
}

int merge_trees(const struct tree_merge *t, struct fault *f) {
    struct merging m = {.t = t, .f = f};
    const struct diff_options o = {.limit = INT64_MAX,
                                   .deadline = t->deadline,
                                   .attributes = true,
                                   .beside = t->ours};
    bool truncated;
    if (inspect_diff(t->base, t->theirs, &o, visit, &m, &truncated, f) < 0 ||
        m.result < 0)
        return -1;
    if (deadline_check(&t->deadline, "the merge", f) < 0)
        return -1;
    return is_wanted(&m) ? upper_finish(t->upper) : 0;
}
