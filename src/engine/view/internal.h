/* internal.h: what view.c, diff.c and layer/squash.c share; nobody else
 * includes it. */
#ifndef CONTREE_VIEW_INTERNAL_H
#define CONTREE_VIEW_INTERNAL_H

#include "base/buffer.h"
#include "base/fault.h"
#include "view/view.h"
#include <limits.h>

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
    struct stat st;
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
/* Opens for reading, or reads, what view_find has found. -1 with errno. */
int view_open_entry(const struct view *v, uint32_t layer, const char *path,
                    int flags);
int view_read_link(const struct view *v, uint32_t layer, const char *path,
                   char out[PATH_MAX]);

/* The names in a directory of the view, whiteouts included, and in which of its
 * layers (a position in the level) each is first. */
struct entry {
    size_t name; /* offset in text */
    uint32_t position;
};

struct entries {
    struct buffer text;
    struct entry *list;
    size_t count, capacity;
};
/* Reads a directory in all layers of a level: sorted, each name once. To be
 * freed whatever the outcome. */
int view_entries(const struct view *v, const struct level *l, const char *path,
                 struct entries *e, struct fault *f);
/* The same by hand: init, read (takes `fd`, a directory, over; -1 with errno,
 * EFBIG when there are more than a million) for each position, sort, which
 * leaves each name once, with its lowest position. */
void entries_init(struct entries *e);
int entries_read(struct entries *e, int fd, uint32_t position);
void entries_sort(struct entries *e);
void entries_free(struct entries *e);

#endif
