/* trail.c: see trail.h. */
#define _GNU_SOURCE
#include "unpack/trail.h"
#include "base/descriptor.h"
#include "base/overlay.h"
#include "unpack/implied.h"
#include "unpack/root.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* As in containerd. */
#define MAX_LINKS 255

void trail_end(struct trail *t) {
    drop_fd(&t->here);
}

static int trail_begin(struct unpack *u, struct trail *t) {
    *t = (struct trail){.here = openat(u->root, ".", OPEN_DIRECTORY)};
    if (t->here < 0)
        return unpack_failed(u, "opening", "/");
    t->below = u->o->below && !overlay_is_opaque(t->here);
    return 0;
}

int below_find(struct unpack *u, const char *path, struct spot *out) {
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

int trail_look(struct unpack *u, const struct trail *t, const char *name,
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
    return path_append(u, path, name) < 0 ? -1 : below_find(u, path, out);
}

bool spot_is_directory(const struct spot *s) {
    return s->where != NOWHERE && S_ISDIR(s->is.mode);
}

/* Enters a directory, which may exist nowhere yet. */
static int trail_enter(struct unpack *u, struct trail *t, const char *name,
                       const struct spot *s) {
    int next = s->where == HERE ? openat(t->here, name, OPEN_DIRECTORY) : -1;
    if (s->where == HERE && next < 0)
        return unpack_failed(u, "opening", name);
    t->below = t->below && s->where != NOWHERE &&
               (next < 0 || !overlay_is_opaque(next));
    trail_end(t);
    t->here = next;
    if (path_append(u, t->path, name) < 0)
        return -1;
    t->length = strlen(t->path);
    return 0;
}

/* Makes a directory with the owner and mode of the one below. */
static int make_like(struct unpack *u, int parent, const char *name,
                     const struct spot *s) {
    uint32_t base = u->o->ids.base;
    if (unpack_count_entry(u) < 0 || root_make_directory(u, parent, name) < 0)
        return -1;
    if (s->where == BELOW &&
        (fchownat(parent, name, base + s->is.uid, base + s->is.gid,
                  AT_SYMLINK_NOFOLLOW) < 0 ||
         fchmodat(parent, name, s->is.mode & 07777, 0) < 0))
        return unpack_failed(u, "making directory", name);
    return 0;
}

/* Enters `name`. `make`: makes it in this layer. 1; 0: it is no directory;
 * -1. */
static int trail_step(struct unpack *u, struct trail *t, const char *name,
                      bool make) {
    struct spot s;
    if (trail_look(u, t, name, &s) < 0)
        return -1;
    if (s.where != NOWHERE && !spot_is_directory(&s))
        return 0;
    if (make && s.where != HERE) {
        if (make_like(u, t->here, name, &s) < 0 ||
            implied_mark(u, t->here, t->path, name) < 0)
            return -1;
        bool below = s.where == BELOW;
        s.where = HERE;
        t->below = t->below && below;
    }
    return trail_enter(u, t, name, &s) < 0 ? -1 : 1;
}

int trail_follow(struct unpack *u, struct trail *t, const char *place,
                 bool make) {
    char path[PATH_MAX], *rest = path, *name;
    snprintf(path, sizeof path, "%s", place);
    int result = trail_begin(u, t) < 0 ? -1 : 1;
    while (result == 1 && (name = strsep(&rest, "/")))
        if (*name)
            result = trail_step(u, t, name, make);
    return result;
}

/* Goes to the directory above. From the root it stays there. */
static int trail_up(struct unpack *u, struct trail *t) {
    char path[PATH_MAX];
    char *slash = strrchr(t->path, '/');
    t->length = slash ? (size_t)(slash - t->path) : 0;
    memcpy(path, t->path, t->length);
    path[t->length] = 0;
    trail_end(t);
    return trail_follow(u, t, path, false) < 0 ? -1 : 0;
}

/* The rest of the path, to which each link adds its target. */
struct remainder {
    char text[2 * PATH_MAX];
    int links;
};

static int follow_link(struct unpack *u, struct trail *t, const char *path,
                       const char *target, struct remainder *p,
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

/* Goes on by one part of the path. *rest is what follows it. */
static int resolve_part(struct unpack *u, struct trail *t, const char *path,
                        const char *name, struct remainder *p,
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
    if (s.where != NOWHERE && !spot_is_directory(&s))
        return unpack_refuse(u, path, "is below what is not a directory");
    return trail_enter(u, t, name, &s);
}

int trail_resolve(struct unpack *u, const char *path, const char *dir,
                  struct trail *t) {
    struct remainder p = {.links = 0};
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
