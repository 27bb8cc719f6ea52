/* place.c: where the entries of an archive belong: the tree that the
 * layers below and this one show together (see unpack.h).
 *
 * What the archive made so far is in u->root and looked at by the kernel, below
 * descriptors and without following anything; what is below is asked for. Links
 * are followed here, by their text. */
#define _GNU_SOURCE
#include "base/descriptor.h"
#include "base/fd.h"
#include "base/overlay.h"
#include "base/scope.h"
#include "base/tree.h"
#include "unpack/internal.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

/* As containerd. */
#define MAX_LINKS 255
/* Holds a name of each file below that a hard link named, by its inode. No
 * entry of a layer can be called so; aufs kept such files under this name, and
 * its layers link to them. */
#define LINKED ".wh..wh.plnk"

/* Marks a directory that the archive has not described; taken away at the end,
 * and overlay shows no attribute under its prefix to anybody. */
#define IMPLIED "user.overlay.implied"

#define OPEN_DIRECTORY (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

/* What a name is in a directory. */
struct spot {
    enum { NOWHERE, HERE, BELOW } where;
    /* Of what is here only the mode, the inode and the target are filled. */
    struct unpack_below is;
};

/* A directory, by a path without links. */
struct trail {
    char path[PATH_MAX];
    size_t length;
    int here;   /* the one of this layer, or -1 */
    bool below; /* what lower layers have in it is not hidden */
};

static void trail_end(struct trail *t) {
    drop_fd(&t->here);
}

static int trail_begin(struct unpack *u, struct trail *t) {
    *t = (struct trail){.here = openat(u->root, ".", OPEN_DIRECTORY)};
    if (t->here < 0)
        return unpack_failed(u, "opening", "/");
    t->below = u->o->below && !overlay_is_opaque(t->here);
    return 0;
}

static int append(struct unpack *u, char path[PATH_MAX], const char *name) {
    size_t used = strlen(path), length = strlen(name);
    if (length > NAME_MAX || used + length + 2 > PATH_MAX)
        return unpack_refuse(u, name, "leads to too long a name");
    if (used)
        path[used++] = '/';
    memcpy(path + used, name, length + 1);
    return 0;
}

static int ask_below(struct unpack *u, const char *path, struct spot *out) {
    int found = u->o->below(u->o->below_arg, path, &out->is, u->f);
    u->stopped = u->stopped || found < 0;
    out->where = found == 1 ? BELOW : NOWHERE;
    return found < 0 ? -1 : 0;
}

static int read_target(struct unpack *u, int dir, const char *name,
                       char out[PATH_MAX]) {
    ssize_t n = readlinkat(dir, name, out, PATH_MAX - 1);
    if (n < 0)
        return unpack_failed(u, "reading", name);
    out[n] = 0;
    return 0;
}

/* What `name` is in the directory. */
static int trail_look(struct unpack *u, const struct trail *t, const char *name,
                      struct spot *out) {
    struct stat st;
    char path[PATH_MAX];
    out->where = NOWHERE;
    if (t->here >= 0 && fstatat(t->here, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        if (overlay_is_whiteout(&st))
            return 0;
        out->where = HERE;
        out->is.mode = st.st_mode;
        out->is.inode = st.st_ino;
        return S_ISLNK(st.st_mode)
                   ? read_target(u, t->here, name, out->is.target)
                   : 0;
    }
    if (t->here >= 0 && errno != ENOENT)
        return unpack_failed(u, "looking at", name);
    if (!t->below)
        return 0;
    memcpy(path, t->path, t->length + 1);
    return append(u, path, name) < 0 ? -1 : ask_below(u, path, out);
}

static bool is_directory(const struct spot *s) {
    return s->where != NOWHERE && S_ISDIR(s->is.mode);
}

/* Goes into a directory, or one that would have to be made. */
static int trail_enter(struct unpack *u, struct trail *t, const char *name,
                       const struct spot *s) {
    int next = s->where == HERE ? openat(t->here, name, OPEN_DIRECTORY) : -1;
    if (s->where == HERE && next < 0)
        return unpack_failed(u, "opening", name);
    t->below = t->below && s->where != NOWHERE &&
               (next < 0 || !overlay_is_opaque(next));
    trail_end(t);
    t->here = next;
    if (append(u, t->path, name) < 0)
        return -1;
    t->length = strlen(t->path);
    return 0;
}

/* Makes the directory that a spot is about, like the one below. */
static int make_like(struct unpack *u, int parent, const char *name,
                     const struct spot *s) {
    uint32_t base = u->o->ids.base;
    if (unpack_count_entry(u) < 0 || unpack_make_directory(u, parent, name) < 0)
        return -1;
    if (s->where == BELOW &&
        (fchownat(parent, name, base + s->is.uid, base + s->is.gid,
                  AT_SYMLINK_NOFOLLOW) < 0 ||
         fchmodat(parent, name, s->is.mode & 07777, 0) < 0))
        return unpack_failed(u, "making directory", name);
    return 0;
}

/* Takes down that a directory was made because something is in it. */
static int mark_implied(struct unpack *u, const struct trail *t,
                        const char *name) {
    char place[PATH_MAX];
    int fd CLEANUP(cleanup_close) = openat(t->here, name, OPEN_DIRECTORY);
    memcpy(place, t->path, t->length + 1);
    if (!u->o->whiteouts)
        return 0;
    if (fd < 0 || fsetxattr(fd, IMPLIED, "y", 1, 0) < 0)
        return unpack_failed(u, "marking", name);
    if (append(u, place, name) < 0)
        return -1;
    u->implied_count++;
    /* Beyond the buffer's maximum the mark stays, which does no harm. */
    if (!u->implied.failed)
        buffer_add(&u->implied, place, strlen(place) + 1);
    return 0;
}

/* One step down a path without links. With `make`, the directory is made. 1;
 * 0: it is something else; -1. */
static int trail_step(struct unpack *u, struct trail *t, const char *name,
                      bool make) {
    struct spot s;
    if (trail_look(u, t, name, &s) < 0)
        return -1;
    if (s.where != NOWHERE && !is_directory(&s))
        return 0;
    if (make && s.where != HERE) {
        if (make_like(u, t->here, name, &s) < 0 || mark_implied(u, t, name) < 0)
            return -1;
        bool below = s.where == BELOW;
        s.where = HERE;
        t->below = t->below && below;
    }
    return trail_enter(u, t, name, &s) < 0 ? -1 : 1;
}

/* From the root down to `place`. 1; 0: it has links, or files on the way; -1.
 */
static int trail_follow(struct unpack *u, struct trail *t, const char *place,
                        bool make) {
    char path[PATH_MAX], *rest = path, *name;
    snprintf(path, sizeof path, "%s", place);
    int result = trail_begin(u, t) < 0 ? -1 : 1;
    while (result == 1 && (name = strsep(&rest, "/")))
        if (*name)
            result = trail_step(u, t, name, make);
    return result;
}

/* To the directory above; the root's is the root. */
static int trail_up(struct unpack *u, struct trail *t) {
    char path[PATH_MAX];
    char *slash = strrchr(t->path, '/');
    t->length = slash ? (size_t)(slash - t->path) : 0;
    memcpy(path, t->path, t->length);
    path[t->length] = 0;
    trail_end(t);
    return trail_follow(u, t, path, false) < 0 ? -1 : 0;
}

/* What is still to be gone: grows when a link is met. */
struct pending {
    char text[2 * PATH_MAX];
    int links;
};

static int follow_link(struct unpack *u, struct trail *t, const char *path,
                       const char *target, struct pending *p,
                       const char *rest) {
    char joined[sizeof p->text];
    int length = snprintf(joined, sizeof joined, "%s/%s", target, rest);
    if (++p->links > MAX_LINKS)
        return unpack_refuse(u, path, "is behind a loop of links");
    if ((size_t)length >= sizeof joined)
        return unpack_refuse(u, path, "leads to too long a name");
    memcpy(p->text, joined, (size_t)length + 1);
    if (*target != '/')
        return 0;
    trail_end(t);
    return trail_begin(u, t);
}

/* Goes on by one part of a path; *rest is what comes after it. */
static int resolve_part(struct unpack *u, struct trail *t, const char *path,
                        const char *name, struct pending *p,
                        const char **rest) {
    struct spot s;
    if (!*name || strcmp(name, ".") == 0)
        return 0;
    if (strcmp(name, "..") == 0)
        return trail_up(u, t);
    if (trail_look(u, t, name, &s) < 0)
        return -1;
    if (s.where != NOWHERE && S_ISLNK(s.is.mode)) {
        int result = follow_link(u, t, path, s.is.target, p, *rest);
        *rest = p->text;
        return result;
    }
    if (s.where != NOWHERE && !is_directory(&s))
        return unpack_refuse(u, path, "is below what is not a directory");
    return trail_enter(u, t, name, &s);
}

/* Finds the directory that `dir` leads to. Whether it is there or not: what is
 * nowhere leads on as it is written. */
static int resolve(struct unpack *u, const char *path, const char *dir,
                   struct trail *t) {
    struct pending p = {.links = 0};
    const char *rest = p.text;
    char name[NAME_MAX + 1];
    snprintf(p.text, sizeof p.text, "%s", dir);
    if (trail_begin(u, t) < 0)
        return -1;
    while (*rest) {
        size_t length = strcspn(rest, "/");
        if (length > NAME_MAX)
            return unpack_refuse(u, path, "leads to too long a name");
        memcpy(name, rest, length);
        name[length] = 0;
        rest += length + (rest[length] == '/');
        if (resolve_part(u, t, path, name, &p, &rest) < 0)
            return -1;
    }
    return 0;
}

/* ---- directories ---- */

int place_open(const struct unpack *u, const char *place, int flags) {
    return open_scoped(u->root, *place ? place : ".",
                       (uint64_t)flags | O_CLOEXEC,
                       RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
}

/* The directory where `dir` leads to, made if need be. */
static int make_place(struct unpack *u, const char *path, const char *dir) {
    struct trail t CLEANUP(trail_end) = {.here = -1};
    if (resolve(u, path, dir, &t) < 0)
        return -1;
    memcpy(u->parent_place, t.path, sizeof t.path);
    if (t.here < 0 && trail_follow(u, &t, u->parent_place, true) != 1)
        return -1;
    return steal_fd(&t.here);
}

int place_parent(struct unpack *u, const char *path, const char **name) {
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) : 0;
    *name = slash ? slash + 1 : path;
    /* An entry of a directory replaces none of the names on the way to it. It
     * may replace a link by which it was reached. */
    bool linked = strcmp(u->parent_path, u->parent_place) != 0;
    if (u->parent >= 0 && !linked && strlen(u->parent_path) == length &&
        memcmp(u->parent_path, path, length) == 0)
        return u->parent;
    drop_fd(&u->parent);
    memcpy(u->parent_path, path, length);
    u->parent_path[length] = 0;
    memcpy(u->parent_place, u->parent_path, length + 1);
    u->parent = place_open(u, u->parent_path, OPEN_DIRECTORY);
    if (u->parent < 0 &&
        (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
        u->parent = make_place(u, path, u->parent_path);
    else if (u->parent < 0)
        return unpack_failed(u, "opening the directory of", path);
    return u->parent;
}

int place_of(struct unpack *u, const char *name, char out[PATH_MAX]) {
    snprintf(out, PATH_MAX, "%s", u->parent_place);
    return append(u, out, name);
}

/* ---- whiteouts ---- */

static int is_below(struct unpack *u, const char *name) {
    struct trail t CLEANUP(trail_end) = {.here = -1};
    struct spot s;
    int found = trail_follow(u, &t, u->parent_place, false);
    if (found <= 0)
        return found;
    return trail_look(u, &t, name, &s) < 0 ? -1 : s.where == BELOW;
}

int place_hide(struct unpack *u, int parent, const char *name) {
    int below = u->o->below ? is_below(u, name) : u->o->whiteouts;
    if (below == 1 && mknodat(parent, name, S_IFCHR | 0600, makedev(0, 0)) < 0)
        return unpack_failed(u, "hiding", name);
    u->implied_count += below == 1;
    return below < 0 ? -1 : 0;
}

static int drop_whiteout(void *arg, int dir, const char *name,
                         const struct stat *st) {
    if (unpack_must_stop(arg))
        return -1;
    return overlay_is_whiteout(st) ? unlinkat(dir, name, 0) : 0;
}

static bool is_implied(int parent, const char *name) {
    char mark;
    int fd CLEANUP(cleanup_close) = openat(parent, name, OPEN_DIRECTORY);
    return fd >= 0 && fgetxattr(fd, IMPLIED, &mark, 1) == 1;
}

static int drop_implied(void *arg, int dir, const char *name) {
    (void)arg;
    if (is_implied(dir, name) && unlinkat(dir, name, AT_REMOVEDIR) < 0 &&
        errno != ENOTEMPTY && errno != EEXIST)
        return -1;
    return 0;
}

/* Removes what only was there to hide something. */
static int drop_hidden(struct unpack *u, int dir) {
    if (u->implied_count == 0 ||
        tree_walk_out(dir, drop_whiteout, drop_implied, u) == 0)
        return 0;
    return u->stopped ? -1 : unpack_failed(u, "hiding", "a directory");
}

int place_hide_all(struct unpack *u, int dir) {
    return drop_hidden(u, dir) < 0 ? -1 : unpack_set_opaque(u, dir, ".");
}

int place_is_brought(struct unpack *u, int parent, const char *name) {
    int dir CLEANUP(cleanup_close) = openat(parent, name, OPEN_DIRECTORY);
    if (dir < 0 || drop_hidden(u, dir) < 0)
        return dir < 0 ? unpack_failed(u, "opening", name) : -1;
    if (drop_implied(u, parent, name) < 0)
        return unpack_failed(u, "hiding", name);
    return faccessat(parent, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

void place_describe(int dir) {
    fremovexattr(dir, IMPLIED); /* most have none */
}

static void forget_implied(struct unpack *u) {
    for (size_t at = 0; at < u->implied.length;
         at += strlen(u->implied.data + at) + 1) {
        int fd CLEANUP(cleanup_close) =
            place_open(u, u->implied.data + at, O_RDONLY | O_DIRECTORY);
        if (fd >= 0)
            place_describe(fd);
    }
}

/* ---- the root ---- */

int place_root(struct unpack *u) {
    struct spot s;
    uint32_t base = u->o->ids.base;
    if (!u->o->below)
        return 0;
    if (ask_below(u, "", &s) < 0)
        return -1;
    if (s.where == BELOW &&
        (fchown(u->root, base + s.is.uid, base + s.is.gid) < 0 ||
         fchmod(u->root, s.is.mode & 07777) < 0))
        return unpack_failed(u, "making directory", "/");
    return 0;
}

/* ---- hard links ---- */

/* A file below that was named, in u->linked; its path with a NUL follows. */
struct linked {
    uint64_t inode;
    size_t length;
};

static void link_name(uint64_t inode, char out[NAME_MAX + 1]) {
    snprintf(out, NAME_MAX + 1, "%llu", (unsigned long long)inode);
}

static int open_linked(struct unpack *u) {
    if (mkdirat(u->root, LINKED, 0700) < 0 && errno != EEXIST)
        return unpack_failed(u, "making", LINKED);
    int dir = openat(u->root, LINKED, OPEN_DIRECTORY);
    return dir < 0 ? unpack_failed(u, "opening", LINKED) : dir;
}

/* Symbolic links and FIFOs. */
static int copy_special(struct unpack *u, int dir, const char *name,
                        const char *path, const struct unpack_below *is) {
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, is->mtime};
    uint32_t base = u->o->ids.base;
    bool link = S_ISLNK(is->mode);
    if (!link && !S_ISFIFO(is->mode))
        return unpack_refuse(u, path, "is a hard link to no file");
    if ((link ? symlinkat(is->target, dir, name)
              : mknodat(dir, name, S_IFIFO | 0600, 0)) < 0 ||
        fchownat(dir, name, base + is->uid, base + is->gid,
                 AT_SYMLINK_NOFOLLOW) < 0 ||
        (!link && fchmodat(dir, name, is->mode & 07777, 0) < 0) ||
        utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW) < 0)
        return unpack_failed(u, "copying", path);
    return 0;
}

static int copy_file(struct unpack *u, int dir, const char *name,
                     const char *path, const struct unpack_below *is) {
    if (unpack_count_bytes(u, (uint64_t)is->bytes) < 0)
        return -1;
    int result = u->o->copy(u->o->below_arg, path, u->root, u->f);
    u->stopped = u->stopped || result < 0;
    if (result < 0)
        return -1;
    return renameat(u->root, UNPACK_COPY, dir, name) < 0
               ? unpack_failed(u, "copying", path)
               : 0;
}

/* Gives the file `path` below a name among those linked to. */
static int copy_up(struct unpack *u, const char *path,
                   const struct unpack_below *is, char name[NAME_MAX + 1]) {
    struct linked l = {is->inode, strlen(path) + 1};
    struct stat st;
    int dir CLEANUP(cleanup_close) = open_linked(u);
    if (dir < 0)
        return -1;
    /* Beyond the buffer's maximum the file below stays one of its own. */
    if (!u->linked.failed && buffer_add(&u->linked, &l, sizeof l))
        buffer_add(&u->linked, path, l.length);
    link_name(is->inode, name);
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return steal_fd(&dir);
    if (unpack_count_entry(u) < 0 ||
        (S_ISREG(is->mode) ? copy_file(u, dir, name, path, is)
                           : copy_special(u, dir, name, path, is)) < 0)
        return -1;
    return steal_fd(&dir);
}

/* Splits a path into the directory and the last part. */
static void split(const char *path, char dir[PATH_MAX],
                  char name[NAME_MAX + 1]) {
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) : 0;
    memcpy(dir, path, length);
    dir[length] = 0;
    snprintf(name, NAME_MAX + 1, "%s", slash ? slash + 1 : path);
}

static int find_target(struct unpack *u, struct trail *t, const char *path,
                       char name[NAME_MAX + 1]) {
    struct spot s;
    char place[PATH_MAX];
    if (*name && trail_look(u, t, name, &s) < 0)
        return -1;
    if (!*name || s.where == NOWHERE || is_directory(&s))
        return unpack_refuse(u, path,
                             u->o->below
                                 ? "is a hard link to what is not in the "
                                   "archive, nor in a layer below"
                                 : "is a hard link to what is not in the "
                                   "archive");
    if (s.where == HERE)
        return steal_fd(&t->here);
    memcpy(place, t->path, t->length + 1);
    return append(u, place, name) < 0 ? -1 : copy_up(u, place, &s.is, name);
}

int place_target(struct unpack *u, const char *path, const char *target,
                 char name[NAME_MAX + 1]) {
    struct trail t CLEANUP(trail_end) = {.here = -1};
    char dir[PATH_MAX];
    split(target, dir, name);
    return resolve(u, path, dir, &t) < 0 ? -1 : find_target(u, &t, path, name);
}

/* Replaces the file `path` below by the one that was linked to, unless the
 * archive hides or replaces it. */
static int link_back(struct unpack *u, int linked, uint64_t inode,
                     const char *path) {
    struct trail t CLEANUP(trail_end) = {.here = -1};
    struct spot s;
    char dir[PATH_MAX], name[NAME_MAX + 1], number[NAME_MAX + 1];
    split(path, dir, name);
    int found = trail_follow(u, &t, dir, false);
    if (found <= 0)
        return found;
    if (trail_look(u, &t, name, &s) < 0)
        return -1;
    if (s.where != BELOW || s.is.inode != inode)
        return 0;
    trail_end(&t);
    if (trail_follow(u, &t, dir, true) != 1)
        return -1;
    link_name(inode, number);
    if (linkat(linked, number, t.here, name, 0) < 0 && errno != EMLINK)
        return unpack_failed(u, "linking", path);
    return 0;
}

int place_finish(struct unpack *u) {
    if (!u->o->whiteouts)
        return 0;
    int dir CLEANUP(cleanup_close) = openat(u->root, LINKED, OPEN_DIRECTORY);
    for (size_t at = 0; at + sizeof(struct linked) <= u->linked.length;) {
        struct linked l;
        memcpy(&l, u->linked.data + at, sizeof l);
        at += sizeof l;
        if (link_back(u, dir, l.inode, u->linked.data + at) < 0)
            return -1;
        at += l.length;
    }
    forget_implied(u);
    return tree_delete_at(u->root, LINKED) < 0
               ? unpack_failed(u, "removing", LINKED)
               : 0;
}
