/* watch_tree.h: the directories that a watch knows. The kernel tells events by
 * a number of the directory, which is the same after it was renamed. */
#ifndef CONTREE_INIT_WATCH_TREE_H
#define CONTREE_INIT_WATCH_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct watch_dir {
    struct watch_dir *parent; /* NULL: the watched directory itself */
    struct watch_dir *first, *next, *previous; /* children, siblings */
    struct watch_dir *same;                    /* in the table of numbers */
    struct watch_dir *later;                   /* to be scanned */
    int number;                                /* -1: not watched yet */
    bool waits;                                /* to be scanned */
    bool is_new;                               /* what is found in it is told */
    int again;       /* what was told of it may be wrong, see watch.c */
    int64_t scanned; /* when, in milliseconds */
    int tries;       /* to find it */
    char name[];
};

struct watch_tree {
    struct watch_dir *root;
    struct watch_dir **table; /* by number */
    size_t size, count;
    struct watch_dir *scan, **scan_end; /* in this order */
};

/* The directory itself, to be scanned. -1: out of memory. */
int tree_open(struct watch_tree *t);
void tree_close(struct watch_tree *t);
/* Adds a directory, to be scanned. NULL: out of memory. */
struct watch_dir *tree_add(struct watch_tree *t, struct watch_dir *parent,
                           const char *name, bool is_new);
struct watch_dir *tree_child(const struct watch_dir *d, const char *name);
struct watch_dir *tree_find(const struct watch_tree *t, int number);
int tree_set_number(struct watch_tree *t, struct watch_dir *d, int number);
/* Takes the next directory to be scanned; NULL: none. */
struct watch_dir *tree_next_scan(struct watch_tree *t);
/* Renames it. NULL: out of memory, and then it is removed. */
struct watch_dir *tree_move(struct watch_tree *t, struct watch_dir *d,
                            struct watch_dir *parent, const char *name);
/* Forgets it and all below it; calls drop() with each number. */
void tree_remove(struct watch_tree *t, struct watch_dir *d,
                 void (*drop)(void *arg, int number), void *arg);
/* Forgets its number and all below it, and has it scanned again. */
void tree_reset(struct watch_tree *t, struct watch_dir *d,
                void (*drop)(void *arg, int number), void *arg);
/* The directory after `d` in the tree below `top`, with or without those below
 * `d`; NULL: none. */
struct watch_dir *tree_next(struct watch_dir *d, const struct watch_dir *top,
                            bool below);
/* Writes the path of `name` in a directory, below the watched one and without
 * a slash before it; false if it is too long. `name` NULL: its own. */
bool tree_path(const struct watch_dir *d, const char *name, char *out,
               size_t size);

#endif
