#include "init/watch_tree.h"

#include <stdlib.h>
#include <string.h>

static struct watch_dir **slot(const struct watch_tree *t, int number) {
    return &t->table[(size_t)number % t->size];
}

static int grow(struct watch_tree *t) {
    size_t size = t->size ? 2 * t->size : 64;
    struct watch_dir **old = t->table, **table = calloc(size, sizeof *table);
    size_t before = t->size;
    if (!table)
        return -1;
    t->table = table;
    t->size = size;
    for (size_t i = 0; i < before; i++)
        for (struct watch_dir *d = old[i], *same; d; d = same) {
            same = d->same;
            struct watch_dir **at = slot(t, d->number);
            d->same = *at;
            *at = d;
        }
    free(old);
    return 0;
}

static void forget_number(struct watch_tree *t, struct watch_dir *d) {
    if (d->number < 0)
        return;
    struct watch_dir **at = slot(t, d->number);
    while (*at && *at != d)
        at = &(*at)->same;
    if (*at)
        *at = d->same;
    t->count--;
    d->number = -1;
}

struct watch_dir *tree_find(const struct watch_tree *t, int number) {
    struct watch_dir *d = number >= 0 ? *slot(t, number) : NULL;
    while (d && d->number != number)
        d = d->same;
    return d;
}

int tree_set_number(struct watch_tree *t, struct watch_dir *d, int number) {
    if (t->count >= t->size && grow(t) < 0)
        return -1;
    forget_number(t, d);
    struct watch_dir **at = slot(t, number);
    d->number = number;
    d->same = *at;
    *at = d;
    t->count++;
    return 0;
}

static void link_to(struct watch_dir *d, struct watch_dir *parent) {
    d->parent = parent;
    d->previous = NULL;
    d->next = parent ? parent->first : NULL;
    if (d->next)
        d->next->previous = d;
    if (parent)
        parent->first = d;
}

static void unlink_it(struct watch_dir *d) {
    if (d->next)
        d->next->previous = d->previous;
    if (d->previous)
        d->previous->next = d->next;
    else if (d->parent)
        d->parent->first = d->next;
}

static struct watch_dir *dir_new(struct watch_tree *t, const char *name,
                                 bool is_new) {
    size_t length = strlen(name) + 1;
    struct watch_dir *d = calloc(1, sizeof *d + length);
    if (!d)
        return NULL;
    memcpy(d->name, name, length);
    d->number = -1;
    d->is_new = is_new;
    d->waits = true;
    *t->scan_end = d;
    t->scan_end = &d->later;
    return d;
}

int tree_open(struct watch_tree *t) {
    *t = (struct watch_tree){0};
    t->scan_end = &t->scan;
    if (grow(t) < 0)
        return -1;
    t->root = dir_new(t, "", false);
    return t->root ? 0 : -1;
}

struct watch_dir *tree_add(struct watch_tree *t, struct watch_dir *parent,
                           const char *name, bool is_new) {
    struct watch_dir *d = dir_new(t, name, is_new);
    if (d)
        link_to(d, parent);
    return d;
}

struct watch_dir *tree_child(const struct watch_dir *d, const char *name) {
    struct watch_dir *c = d->first;
    while (c && strcmp(c->name, name) != 0)
        c = c->next;
    return c;
}

static void unqueue(struct watch_tree *t, struct watch_dir *d) {
    struct watch_dir **at = &t->scan;
    while (*at != d)
        at = &(*at)->later;
    *at = d->later;
    if (t->scan_end == &d->later)
        t->scan_end = at;
    d->later = NULL;
    d->waits = false;
}

struct watch_dir *tree_next_scan(struct watch_tree *t) {
    struct watch_dir *d = t->scan;
    if (d)
        unqueue(t, d);
    return d;
}

/* Deep trees are freed without recursion: children first. */
void tree_remove(struct watch_tree *t, struct watch_dir *d,
                 void (*drop)(void *arg, int number), void *arg) {
    struct watch_dir *end = d->parent, *at = d;
    while (at != end) {
        while (at->first)
            at = at->first;
        struct watch_dir *parent = at == d ? end : at->parent;
        int number = at->number;
        forget_number(t, at);
        if (number >= 0 && drop)
            drop(arg, number);
        if (at->waits)
            unqueue(t, at);
        unlink_it(at);
        free(at);
        at = parent;
    }
}

void tree_close(struct watch_tree *t) {
    if (t->root)
        tree_remove(t, t->root, NULL, NULL);
    free(t->table);
    *t = (struct watch_tree){0};
}

static bool is_below(const struct watch_dir *d, const struct watch_dir *top) {
    while (d && d != top)
        d = d->parent;
    return d == top;
}

struct watch_dir *tree_move(struct watch_tree *t, struct watch_dir *d,
                            struct watch_dir *parent, const char *name) {
    size_t length = strlen(name) + 1;
    struct watch_dir *moved =
        is_below(parent, d) ? NULL : calloc(1, sizeof *moved + length);
    if (!moved) {
        tree_remove(t, d, NULL, NULL);
        return NULL;
    }
    memcpy(moved->name, name, length);
    moved->number = -1;
    moved->is_new = d->is_new;
    moved->again = d->again;
    moved->scanned = d->scanned;
    int number = d->number;
    forget_number(t, d);
    if (d->waits) {
        unqueue(t, d);
        moved->waits = true;
        *t->scan_end = moved;
        t->scan_end = &moved->later;
    }
    unlink_it(d);
    moved->first = d->first;
    for (struct watch_dir *c = moved->first; c; c = c->next)
        c->parent = moved;
    free(d);
    link_to(moved, parent);
    if (number >= 0)
        tree_set_number(t, moved, number); /* there is room: it had one */
    return moved;
}

void tree_reset(struct watch_tree *t, struct watch_dir *d,
                void (*drop)(void *arg, int number), void *arg) {
    int number = d->number;
    while (d->first)
        tree_remove(t, d->first, drop, arg);
    forget_number(t, d);
    if (number >= 0)
        drop(arg, number);
    if (d->waits)
        return;
    d->waits = true;
    d->later = NULL;
    *t->scan_end = d;
    t->scan_end = &d->later;
}

struct watch_dir *tree_next(struct watch_dir *d, const struct watch_dir *top,
                            bool below) {
    if (below && d->first)
        return d->first;
    while (d != top && !d->next)
        d = d->parent;
    return d == top ? NULL : d->next;
}

bool tree_path(const struct watch_dir *d, const char *name, char *out,
               size_t size) {
    char *at = out + size;
    *--at = '\0';
    bool first = true;
    for (; name || d->parent; d = name ? d : d->parent, name = NULL) {
        const char *part = name ? name : d->name;
        size_t length = strlen(part);
        if ((size_t)(at - out) < length + 1)
            return false;
        if (!first)
            *--at = '/';
        first = false;
        at -= length;
        memcpy(at, part, length);
    }
    memmove(out, at, out + size - at);
    return true;
}
