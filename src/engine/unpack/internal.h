/* internal.h: what unpack.c and place.c share; nobody else
 * includes it. */
#ifndef CONTREE_UNPACK_INTERNAL_H
#define CONTREE_UNPACK_INTERNAL_H

#include "base/buffer.h"
#include "base/fault.h"
#include "unpack/kind.h"
#include "unpack/unpack.h"
#include <archive.h>
#include <limits.h>
#include <sys/stat.h>

enum { UNPACK_BLOCK = 256 << 10 };

struct unpack {
    const struct unpack_options *o;
    struct unpack_result *result;
    struct fault *f;
    struct archive *a;
    int root, input;
    bool stopped; /* the fault was filled by who gives or knows something */
    /* The directory of the last entry, as most share it with the next: as the
     * archive names it, and where that leads to. */
    int parent;
    char parent_path[PATH_MAX], parent_place[PATH_MAX];
    /* Directories' times, set when nothing will be made in them any more. */
    struct buffer times;
    /* The files below that hard links named: see place_finish(). */
    struct buffer linked;
    /* Directories that were made because something is in them, and how many. */
    struct buffer implied;
    int64_t implied_count;
    size_t begun; /* bytes of the input's beginning */
    char beginning[KIND_BYTES];
    char block[UNPACK_BLOCK];
};

/* Names come from the archive: cut, and logged or shown only through fault and
 * log_line. */
#define NAME "%.200s"

int unpack_refuse(struct unpack *u, const char *name, const char *why);
int unpack_failed(struct unpack *u, const char *doing, const char *name);
int unpack_count_entry(struct unpack *u);
int unpack_count_bytes(struct unpack *u, uint64_t more);
/* Hides in a directory what the layers below have in it. */
int unpack_set_opaque(struct unpack *u, int parent, const char *name);
bool unpack_must_stop(struct unpack *u);
/* Removes what this archive has made at `name`. */
int unpack_make_way(struct unpack *u, int parent, const char *name);
/* Makes a directory that belongs to root, unless there is one. */
int unpack_make_directory(struct unpack *u, int parent, const char *name);

/* ---- places ---- */

/* The directory that an entry `path` belongs into, made if need be; *name is
 * its last part. The descriptor stays u's. */
int place_parent(struct unpack *u, const char *path, const char **name);
/* Where the entry `name` of that directory is: its path without links. -1 when
 * it is too long. */
int place_of(struct unpack *u, const char *name, char out[PATH_MAX]);
/* The directory (the caller's descriptor) and the name there of the file that a
 * hard link of the entry `path` is to name; one below is copied first. */
int place_target(struct unpack *u, const char *path, const char *target,
                 char name[NAME_MAX + 1]);
/* Hides what the layers below have as `name` in the directory of the last
 * entry. A whiteout of nothing would be seen in lists of the directory. */
int place_hide(struct unpack *u, int parent, const char *name);
/* Hides all that they have in the open directory. What this archive hid there
 * already has nothing to hide any more. */
int place_hide_all(struct unpack *u, int dir);
/* Whether the archive described the directory `name` of `parent`, or anything
 * is in it that is not hidden; if not, it is removed. */
int place_is_brought(struct unpack *u, int parent, const char *name);
/* The archive describes this open directory now. */
void place_describe(int dir);
/* Makes the root like the one below. */
int place_root(struct unpack *u);
/* The files below that hard links named are one file with these: they get their
 * own name back, unless the archive hides it. */
int place_finish(struct unpack *u);

/* Opens a directory by its place. */
int place_open(const struct unpack *u, const char *place, int flags);

#endif
