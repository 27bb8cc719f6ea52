/* view.h: reading an image without running anything.
 *
 * A view is the tree that a run of the image would see, put together by hand
 * from its layer directories: an entry of a higher layer hides the same name
 * below, directories are merged, whiteouts (character device 0:0) and opaque
 * directories (user.overlay.opaque) hide what is below them. Symbolic links are
 * followed inside the image only. Nothing but regular files and directories is
 * ever opened, so a FIFO cannot block and a device is not touched.
 *
 * Everything here blocks on the disk: worker. A view belongs to one thread at a
 * time; several views of one image are fine. Layers never change, so neither
 * does what a view shows. */
#ifndef CONTREE_VIEW_VIEW_H
#define CONTREE_VIEW_VIEW_H

#include "base/deadline.h"
#include "base/fault.h"
#include "base/ids.h"
#include <stdatomic.h>
#include <sys/stat.h>

/* The longest path inside an image that is looked at, with its NUL. */
#define INSPECT_PATH 4000

struct view;
/* `layers` top first, as from store_layer_chain(), or as layer_path() takes
 * them; copied. The skeleton is added below. 500 when a layer is not on the
 * disk. */
struct view *view_open(int dir_fd, const int64_t *layers, size_t count,
                       struct id_range ids, struct fault *f);
void view_close(struct view *v);
/* The name that the image's own /etc/passwd (/etc/group) has for an id, or
 * NULL. Printable ASCII. Valid as long as the view. */
const char *view_user(struct view *v, uid_t uid);
const char *view_group(struct view *v, gid_t gid);

struct item {
    const char *path;   /* from the image's root: "etc/passwd"; "" the root */
    const char *name;   /* its last part */
    const char *target; /* of a symbolic link, else "" */
    struct stat st;     /* st_uid and st_gid as the sandbox sees them */
    int64_t layer;      /* where it is: (layer, st_ino) names the content */
};

/* Paths are absolute and in the words of the image; 400 for others, 404 when
 * there is nothing, 422 for a loop of links. All strings are bytes, not UTF-8.
 *
 * The item's strings are valid until the next call with this view. `follow`: a
 * symbolic link as the last part is followed. */
int inspect_stat(struct view *v, const char *path, bool follow,
                 struct item *out, struct fault *f);
/* The entries of a directory (or of what a link to one names), sorted by the
 * bytes of their names; item.path is the real path. The visitor returns false
 * to stop. 422 when it is no directory, or one of more than a million entries.
 */
int inspect_list(struct view *v, const char *path,
                 bool (*visit)(void *arg, const struct item *i), void *arg,
                 struct fault *f);
/* Opens a regular file for reading. `st` may be NULL. 422 when it is something
 * else. */
int inspect_open(struct view *v, const char *path, struct stat *st,
                 struct fault *f);

/* Everything from `path` (a link is followed) down: first itself, then, depth
 * first and sorted, what is below; links are not followed. */
struct walk;
struct walk *walk_begin(struct view *v, const char *path, struct fault *f);
/* 1: `out` is the next item, its strings valid until the next call; 0: the end;
 * -1: fault. */
int walk_next(struct walk *w, struct item *out, struct fault *f);
/* Opens the current item, a regular file or a directory. */
int walk_open(struct walk *w, struct fault *f);
/* Not into the current item, a directory. */
void walk_skip(struct walk *w);
void walk_end(struct walk *w);

/* What an archive is for. */
enum archive_kind {
    ARCHIVE_TAR,
    ARCHIVE_LAYER, /* of an OCI image, where a name .wh.X removes X */
};
/* Whether all from `path` down can be archived, which a reader cannot be told
 * any more when half of it is sent: 422 when it is neither a file nor a
 * directory, has a path of INSPECT_PATH bytes or, for a layer, a name that
 * means something else there. */
int inspect_can_archive(struct view *v, const char *path,
                        enum archive_kind kind, const struct deadline *p,
                        struct fault *f);
/* Writes a PAX tar of `path` and all below to `to` (blocking), names relative
 * to the image's root. Hard links and holes are kept, of the extended
 * attributes user.* and security.capability; sockets and devices are left out.
 * 404 for a missing path, before anything is written. SIGPIPE must be ignored.
 * http-api.md §4.20. */
int inspect_archive(struct view *v, const char *path, int to,
                    const struct deadline *p, struct fault *f);

enum change_kind { CHANGE_ADDED, CHANGE_CHANGED, CHANGE_REMOVED };

struct change {
    const char *path; /* "etc/passwd"; "" the root */
    enum change_kind kind;
    struct stat st;         /* as it is now, or was if it was removed */
    const struct stat *was; /* of what is changed; else NULL */
};

struct diff_options {
    int64_t limit;    /* changes; at least 1 */
    const char *path; /* "etc": only it and what is below; NULL: all */
    struct deadline deadline;
};

/* Tells what `image` has that `base` has not, and the other way round: each
 * path, parents first, siblings sorted. Changed is what has another type, mode,
 * owner, content or target; a time alone is no change, nor is a directory whose
 * entries changed. Of the layers that both share nothing is read but what one
 * of them hides. `*truncated` when the limit or the deadline ended it. The
 * visitor returns false to stop. Both views must be of one data directory. */
int inspect_diff(struct view *base, struct view *image,
                 const struct diff_options *o,
                 bool (*visit)(void *arg, const struct change *c), void *arg,
                 bool *truncated, struct fault *f);

enum grep_case { GREP_SENSITIVE, GREP_INSENSITIVE, GREP_SMART };

struct grep_options {
    const char *const *patterns; /* at least one */
    size_t pattern_count;
    const char *const *paths; /* none: "/" */
    size_t path_count;
    const char *const *globs; /* "*.c", "!*.bak", "src/" + "**" */
    size_t glob_count;
    int64_t max_count; /* matching lines a file; 0: any */
    int64_t max_total; /* of all files; 0: 1000 */
    int64_t before, after;
    enum grep_case letter_case;
    struct deadline deadline;
};

struct grep_submatch {
    size_t start, end; /* bytes in the line */
};

/* A line that matched, or one of its context (no submatches). */
struct grep_line {
    const char *path; /* "etc/passwd" */
    const char *text; /* with its line end; bytes; not NUL-terminated */
    size_t length;
    int64_t number; /* from 1 */
    int64_t offset; /* of the line in the file */
    const struct grep_submatch *submatches;
    size_t submatch_count;
};

/* Searches (http-api.md §4.22): hidden files too, binary files (with a NUL)
 * not, links not followed. `*truncated` when max_total, the deadline, a line of
 * more than 32 MiB or a pattern's cost ended (part of) the search. The visitor
 * returns false to stop. 400 for a bad pattern or glob, 404 for a path that is
 * not there. */
int inspect_grep(struct view *v, const struct grep_options *o,
                 bool (*visit)(void *arg, const struct grep_line *l), void *arg,
                 bool *truncated, struct fault *f);

#endif
