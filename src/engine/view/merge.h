/* merge.h: the layers of a view merged, directory by directory. For
 * this room alone.
 *
 * A directory of the view is a path and the layers that take part in it: in
 * each of them the path leads through real directories only, so it can be given
 * to the kernel as it is. */
#ifndef CONTREE_VIEW_MERGE_H
#define CONTREE_VIEW_MERGE_H

#include "base/fault.h"
#include "base/ids.h"
#include "view/entries.h"
#include "view/item.h"
#include <limits.h>
#include <stdbool.h>
#include <sys/stat.h>

struct id_name {
    uint32_t id, line;
    const char *name;
};

struct id_names {
    bool loaded;
    char *text;
    struct id_name *list;
    size_t count;
};

struct view {
    int dir_fd;
    struct id_range ids;
    size_t count;
    char prefix[40]; /* "/proc/self/fd/7/" */
    size_t prefix_length;
    struct id_names users, groups;
    char path[INSPECT_PATH], target[PATH_MAX]; /* of the last inspect_stat */
    int64_t layers[];
};

/* The layers (positions in view.layers, top first) that a directory is in. */
struct level {
    uint32_t *layers;
    size_t count;
};
void level_free(struct level *l);

/* What a name is in the view. */
struct node {
    struct stat st; /* owners as the sandbox sees them */
    uint32_t layer;
    struct level level; /* of a directory; owned */
};
/* The root directory, in which all layers take part; out->level is the
 * caller's. -1 with errno. */
int view_root(const struct view *v, struct node *out);
/* Finds `name` in a directory of the view. 1: `out` is filled (out->level is
 * the caller's), 0: not there, -1 with errno. Positions of `in` before `from`
 * are known not to have it. */
int view_find(const struct view *v, const struct level *in, const char *dir,
              const char *name, size_t from, struct node *out);

/* What a path is in one layer. 1, 0: it is not there, -1 with errno. */
int view_stat_entry(const struct view *v, uint32_t layer, const char *path,
                    struct stat *out);
/* Opens for reading, or reads, what view_find() has found: `name` in `dir`, or
 * `dir` itself where `name` is "". -1 with errno. */
int view_open_entry(const struct view *v, uint32_t layer, const char *path,
                    int flags);
int view_read_link(const struct view *v, uint32_t layer, const char *dir,
                   const char *name, char out[PATH_MAX]);

/* The names in a directory of the view, whiteouts included, each with its
 * position in `l`. Free `e` whatever the outcome. */
int view_entries(const struct view *v, const struct level *l, const char *path,
                 struct entries *e, struct fault *f);

/* Describes a node; `target` is filled, and item.target points to it. */
int view_describe(const struct view *v, const char *path, const struct node *n,
                  char target[PATH_MAX], struct item *out, struct fault *f);

#endif
