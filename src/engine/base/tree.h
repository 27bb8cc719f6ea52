/* tree.h: walks and deletes a directory tree that a hostile program may have
 * made: any depth, any names, any modes, no symbolic link followed, few
 * descriptors. Nobody may change the tree meanwhile. */
#ifndef CONTREE_BASE_TREE_H
#define CONTREE_BASE_TREE_H

#include "base/scope.h"
#include <sys/stat.h>

/* Called for each entry: `dir` is the descriptor of its directory, `st` is from
 * lstat. A directory comes before its contents; the top is left out. Returns 0,
 * or -1 with errno to stop. */
typedef int tree_visit(void *arg, int dir, const char *name,
                       const struct stat *st);

/* Walk all below the directory `top`. 0, or -1 with errno. */
int tree_walk(int top, tree_visit *visit, void *arg) MUST_CHECK;
/* The same, and `leave` is called for a directory after all its contents. Both
 * callbacks may remove their entry. */
int tree_walk_out(int top, tree_visit *visit,
                  int (*leave)(void *arg, int dir, const char *name),
                  void *arg) MUST_CHECK;

/* Delete everything below the directory `top`. Return how many entries of `top`
 * could not be deleted, or -1 with errno. */
int tree_delete(int top) MUST_CHECK;

/* Delete `name` in `dir` with everything below. 0, also when it is absent, or
 * -1 with errno. */
int tree_delete_at(int dir, const char *name) MUST_CHECK;

#endif
