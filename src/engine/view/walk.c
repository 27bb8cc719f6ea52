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

/* A directory that is being gone through. `path` holds the path of what was
 * found last; `length` is how much of it is the directory. */
struct cursor {
    const struct view *v;
    struct level level;
    struct entries entries;
    size_t length, next;
};

static void cursor_free(struct cursor *c) {
    level_free(&c->level);
    entries_free(&c->entries);
}

/* Goes to the next name that is there; n->level is the caller's. 1, 0, -1. */
static int cursor_next(struct cursor *c, char path[INSPECT_PATH],
                       struct node *n, struct fault *f) {
    while (c->next < c->entries.count) {
        const struct entry *e = &c->entries.list[c->next++];
        const char *name = c->entries.text.data + e->name;
        path[c->length] = 0;
        if (!path_fits(path, name))
            return fault_set(f, 422, "/%.300s... is deeper than %d bytes", path,
                             INSPECT_PATH);
        int found = view_find(c->v, &c->level, path, name, e->position, n);
        if (found < 0)
            level_free(&n->level);
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
    struct cursor c = {.v = v, .level = p->way[p->depth], .length = p->length};
    struct node n;
    struct item item;
    int more = view_entries(v, &c.level, p->path, &c.entries, f);
    while (more >= 0 && (more = cursor_next(&c, p->path, &n, f)) == 1) {
        level_free(&n.level);
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
    struct node current; /* its level is set when it is to be gone into */
    struct cursor *stack;
    size_t depth, capacity;
};

struct walk *walk_begin(struct view *v, const char *path, struct fault *f) {
    struct resolved p;
    struct walk *w = calloc(1, sizeof *w);
    if (!w) {
        fault_set(f, 500, "out of memory");
        return NULL;
    }
    w->v = v;
    if (resolve_path(v, path, true, &p, f) < 0) {
        free(steal_pointer(&w));
    } else {
        memcpy(w->path, p.path, p.length + 1);
        w->current = p.node;
        if (S_ISDIR(p.node.st.st_mode)) {
            w->current.level = p.way[p.depth];
            p.way[p.depth] = (struct level){0};
        }
    }
    resolved_free(&p);
    return w;
}

/* Puts the current directory on the stack. */
static int walk_down(struct walk *w, struct fault *f) {
    if (w->depth == w->capacity) {
        size_t capacity = w->capacity ? w->capacity * 2 : 16;
        struct cursor *more = realloc(w->stack, capacity * sizeof *more);
        if (!more)
            return fault_set(f, 500, "out of memory");
        w->stack = more;
        w->capacity = capacity;
    }
    struct cursor *c = &w->stack[w->depth++];
    *c = (struct cursor){
        .v = w->v, .level = w->current.level, .length = strlen(w->path)};
    w->current.level = (struct level){0};
    return view_entries(w->v, &c->level, w->path, &c->entries, f);
}

int walk_next(struct walk *w, struct item *out, struct fault *f) {
    if (!w->begun) {
        w->begun = true;
        return view_describe(w->v, w->path, &w->current, w->target, out, f) < 0
                   ? -1
                   : 1;
    }
    if (w->current.level.count && walk_down(w, f) < 0)
        return -1;
    while (w->depth) {
        struct cursor *c = &w->stack[w->depth - 1];
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
    level_free(&w->current.level);
}

void walk_end(struct walk *w) {
    if (!w)
        return;
    level_free(&w->current.level);
    while (w->depth)
        cursor_free(&w->stack[--w->depth]);
    free(w->stack);
    free(w);
}
