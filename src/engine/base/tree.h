/* tree.h: walks and deletes a directory tree that a hostile program may have
 * made: any depth, any names, any modes, no symbolic link followed, few
 * descriptors. Nobody may change the tree meanwhile. */
#ifndef CONTREE_BASE_TREE_H
#define CONTREE_BASE_TREE_H

#include "base/scope.h"
#include <sys/stat.h>

/* Sees an entry: `dir` is the descriptor of its directory, `st` from an lstat.
 * A directory is seen before what it contains; the top is not seen. Returns 0,
 * or -1 with errno to stop. */
typedef int tree_visit(void *arg, int dir, const char *name,
                       const struct stat *st);

/* Walks what is below `top`, a directory. 0, or -1 with errno. */
int tree_walk(int top, tree_visit *visit, void *arg) MUST_CHECK;
/* The same, and `leave` sees a directory once more after all that it contains.
 * Both may remove what they are called for. */
int tree_walk_out(int top, tree_visit *visit,
                  int (*leave)(void *arg, int dir, const char *name),
                  void *arg) MUST_CHECK;

/* Deletes everything below `top`, a directory. What cannot be deleted stays:
 * returns how many entries of `top` that were, or -1 with errno. */
int tree_delete(int top) MUST_CHECK;

/* Deletes `name` in `dir`, whatever it is, with all that is below. 0, or -1
 * with errno. Absent is fine. */
int tree_delete_at(int dir, const char *name) MUST_CHECK;

#endif
