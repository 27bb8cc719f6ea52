/* tree.h: makes a directory tree of names that may be hostile. No name leads
 * out of the tree: links are made but never followed, and nothing that is there
 * is opened again or replaced. The tree appears under its name when it is
 * complete. Functions return false with errno set. */
#ifndef CONTREE_TREE_H
#define CONTREE_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <time.h>

#pragma GCC visibility push(hidden)

struct tree_directory;

struct tree {
    char *path;      /* of the directory while it is made; NULL: none */
    int root;        /* it, -1: none */
    int parent;      /* the directory of the last entry, -1: none */
    char *parent_at; /* its path below the root */
    struct tree_directory *directories; /* made, the last one first */
};

/* What an entry has. Of `mode` the permission bits are used, less the umask. */
struct tree_entry {
    const char *name; /* below the root; EINVAL for ".." and for "" */
    mode_t mode;
    struct timespec mtime;
};

/* Makes a directory beside `to`, with a name of its own. */
bool tree_begin(struct tree *tree, const char *to);
/* Makes an empty file that did not exist, and opens it for writing; -1. */
int tree_file(struct tree *tree, const struct tree_entry *entry);
bool tree_directory(struct tree *tree, const struct tree_entry *entry);
bool tree_link(struct tree *tree, const struct tree_entry *entry,
               const char *target);
/* Gives the file `target` of the tree another name. */
bool tree_same(struct tree *tree, const struct tree_entry *entry,
               const char *target);
/* Sets modes and times of directories, for about so many seconds. 1: done; 0:
 * not yet; -1 with errno set. */
int tree_settle(struct tree *tree, double seconds);
/* Renames it to `to`, where there may be an empty directory. */
bool tree_finish(struct tree *tree, const char *to);
/* Removes what was made, unless it is finished, and frees the memory. */
void tree_end(struct tree *tree);

#pragma GCC visibility pop

#endif
