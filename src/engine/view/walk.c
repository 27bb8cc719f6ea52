/* walk.c: see walk.h. */
#define _GNU_SOURCE
#include "view/walk.h"
#include "base/scope.h"
#include "view/merge.h"
#include "view/resolve.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A directory that is being read. Its path is the first `length` bytes of the
 * walk's path. */
struct cursor {
    const struct view *v;
    struct parts parts;
    struct entries entries;
    size_t length, next;
};

static void cursor_free(struct cursor *c) {
    parts_free(&c->parts);
    entries_free(&c->entries);
}

/* Goes to the next entry and appends its name to `path`. The caller frees
 * n->parts. 1; 0: the end; -1: fault. */
static int cursor_next(struct cursor *c, char path[INSPECT_PATH],
                       struct node *n, struct fault *f) {
    while (c->next < c->entries.count) {
        const struct entry_name *e = &c->entries.list[c->next++];
        const char *name = c->entries.text.data + e->name;
        path[c->length] = 0;
        if (!path_fits(path, name))
            return fault_set(f, 422, "/%.300s... is deeper than %d bytes", path,
                             INSPECT_PATH);
        int found = view_find(c->v, &c->parts, path, name, e->position, n);
        if (found < 0)
            parts_free(&n->parts);
        if (found < 0)
            return fault_errno(f, "reading /%.300s", path);
        if (!found)
            continue; /* a whiteout */
        snprintf(path + c->length, INSPECT_PATH - c->length, "%s%s",
                 c->length ? "/" : "", name);
        return 1;
    }
    return 0;
}

static int list_directory(struct view *v, struct resolved *p,
                          bool (*visit)(void *arg, const struct item *i),
                          void *arg, struct fault *f) {
    struct cursor c = {.v = v, .parts = p->way[p->depth], .length = p->length};
    struct node n;
    struct item item;
    int more = view_entries(v, &c.parts, p->path, &c.entries, f);
    while (more >= 0 && (more = cursor_next(&c, p->path, &n, f)) == 1) {
        parts_free(&n.parts);
        more = view_describe(v, p->path, &n, v->target, &item, f);
        if (more < 0 || !visit(arg, &item))
            break;
    }
    entries_free(&c.entries);
    return more < 0 ? -1 : 0;
}

int inspect_list(struct view *v, const char *path,
                 bool (*visit)(void *arg, const struct item *i), void *arg,
                 struct fault *f) {
    struct resolved p;
    int result = resolve_path(v, path, true, &p, f);
    if (result == 0 && !S_ISDIR(p.node.st.st_mode))
        result = fault_set(f, 422, "not a directory: %.300s", path);
    if (result == 0)
        result = list_directory(v, &p, visit, arg, f);
    resolved_free(&p);
    return result;
}

struct walk {
    struct view *v;
    bool begun;
    char path[INSPECT_PATH], target[PATH_MAX];
    struct node current;    /* with parts: a directory that is entered next */
    struct cursor *cursors; /* of the directories on the way, from the top */
    size_t depth, capacity;
};

struct walk *walk_begin(struct view *v, const char *path, struct fault *f) {
    struct resolved p;
    struct walk *w = calloc(1, sizeof *w);
    if (!w) {
        fault_memory(f);
        return NULL;
    }
    w->v = v;
    if (resolve_path(v, path, true, &p, f) < 0) {
        free(steal_pointer(&w));
    } else {
        memcpy(w->path, p.path, p.length + 1);
        w->current = p.node;
        if (S_ISDIR(p.node.st.st_mode)) {
            w->current.parts = p.way[p.depth];
            p.way[p.depth] = (struct parts){0};
        }
    }
    resolved_free(&p);
    return w;
}

/* Enters the current directory. */
static int walk_down(struct walk *w, struct fault *f) {
    if (w->depth == w->capacity) {
        size_t capacity = w->capacity ? w->capacity * 2 : 16;
        struct cursor *more = realloc(w->cursors, capacity * sizeof *more);
        if (!more)
            return fault_memory(f);
        w->cursors = more;
        w->capacity = capacity;
    }
    struct cursor *c = &w->cursors[w->depth++];
    *c = (struct cursor){
        .v = w->v, .parts = w->current.parts, .length = strlen(w->path)};
    w->current.parts = (struct parts){0};
    return view_entries(w->v, &c->parts, w->path, &c->entries, f);
}

int walk_next(struct walk *w, struct item *out, struct fault *f) {
    if (!w->begun) {
        w->begun = true;
        return view_describe(w->v, w->path, &w->current, w->target, out, f) < 0
                   ? -1
                   : 1;
    }
    if (w->current.parts.count && walk_down(w, f) < 0)
        return -1;
    while (w->depth) {
        struct cursor *c = &w->cursors[w->depth - 1];
        int more = cursor_next(c, w->path, &w->current, f);
        if (more < 0)
            return -1;
        if (more &&
            view_describe(w->v, w->path, &w->current, w->target, out, f) < 0)
            return -1;
        if (more)
            return 1;
        cursor_free(c);
        w->depth--;
    }
    return 0;
}

int walk_open(struct walk *w, struct fault *f) {
    mode_t mode = w->current.st.st_mode;
    int flags = S_ISDIR(mode) ? O_DIRECTORY : 0;
    if (!S_ISREG(mode) && !S_ISDIR(mode))
        return fault_set(f, 422, "neither a file nor a directory: /%.300s",
                         w->path);
    int fd = view_open_entry(w->v, w->current.layer, w->path, flags);
    return fd < 0 ? fault_errno(f, "opening /%.300s", w->path) : fd;
}

void walk_skip(struct walk *w) {
    parts_free(&w->current.parts);
}

void walk_end(struct walk *w) {
    if (!w)
        return;
    parts_free(&w->current.parts);
    while (w->depth)
        cursor_free(&w->cursors[--w->depth]);
    free(w->cursors);
    free(w);
}
