/* merge.h: the layers of a view merged, directory by directory. For this room
 * only.
 *
 * A directory of the view is a path and the layers that take part in it. In
 * each of these layers the path leads through real directories only, never
 * through a symbolic link, so it can be given to the kernel as it is. */
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

/* The layers that take part in a directory, the highest first, as positions in
 * view.layers. */
struct parts {
    uint32_t *layers;
    size_t count;
};
void parts_free(struct parts *p);

/* An entry of the view. */
struct node {
    struct stat st; /* owners as the sandbox sees them */
    uint32_t layer;
    struct parts parts; /* of a directory; owned */
};
/* The root directory, in which all layers take part. The caller frees
 * out->parts. -1 with errno. */
int view_root(const struct view *v, struct node *out);
/* Find `name` in the directory `dir`, whose parts are `in`. 1: `out` is filled;
 * 0: not there; -1 with errno. The caller frees out->parts. Positions of `in`
 * before `from` are known not to have the name. */
int view_find(const struct view *v, const struct parts *in, const char *dir,
              const char *name, size_t from, struct node *out);

/* Look at a path in one layer. 1: `out` is filled; 0: not there; -1 with errno.
 */
int view_stat_entry(const struct view *v, uint32_t layer, const char *path,
                    struct stat *out);
/* Open what view_find() has found, for reading. -1 with errno. */
int view_open_entry(const struct view *v, uint32_t layer, const char *path,
                    int flags);
/* Read the symbolic link `name` in `dir`, or `dir` itself when `name` is "". -1
 * with errno. */
int view_read_link(const struct view *v, uint32_t layer, const char *dir,
                   const char *name, char out[PATH_MAX]);

/* List a directory of the view, whiteouts included; positions are those of `p`.
 * Free `e` whatever the outcome. */
int view_entries(const struct view *v, const struct parts *p, const char *path,
                 struct entries *e, struct fault *f);

/* Describe a node. out->path is `path`, out->target is `target`, which is
 * filled.
 */
int view_describe(const struct view *v, const char *path, const struct node *n,
                  char target[PATH_MAX], struct item *out, struct fault *f);

#endif
