/* upper.c: see upper.h. One descriptor is open, of the deepest directory, so
 * that depth costs only memory. */
#define _GNU_SOURCE
#include "merge/upper.h"
#include "base/descriptor.h"
#include "base/fd.h"
#include "base/overlay.h"
#include "base/scope.h"
#include "base/tree.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define OPEN_DIRECTORY (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

struct upper_step {
    struct upper_step *up;
    size_t length; /* of its path */
    struct upper_like like;
};

static int failed(struct upper *u, const char *path) {
    int error = errno;
    if (deadline_check(&u->copier.deadline, "the merge", u->f) < 0)
        return -1;
    errno = error;
    return fault_errno(u->f, "merging /%.300s", path);
}

/* As the data directory has it. */
static struct stat host_stat(const struct upper *u, const struct stat *st) {
    struct stat out = *st;
    bool user = st->st_uid < u->ids.count, group = st->st_gid < u->ids.count;
    out.st_uid = u->ids.base + (user ? st->st_uid : 0);
    out.st_gid = u->ids.base + (group ? st->st_gid : 0);
    return out;
}

/* ---- directories ---- */

static int push(struct upper *u, size_t length, const struct upper_like *like) {
    struct upper_step *s = malloc(sizeof *s);
    if (!s)
        return fault_memory(u->f);
    *s = (struct upper_step){u->top, length, *like};
    u->top = s;
    return 0;
}

/* Its metadata comes last: making entries changes it. */
static int set_directory(struct upper *u, const struct upper_like *like) {
    struct stat st = host_stat(u, &like->st);
    int from CLEANUP(cleanup_close) =
        placed_open(u->dir_fd, &like->attributes, u->path, O_DIRECTORY);
    if (from < 0 || copy_metadata(&u->copier, from, u->to, &st) < 0)
        return failed(u, u->path);
    return 0;
}

static int leave(struct upper *u) {
    struct upper_step *s = u->top;
    if (set_directory(u, &s->like) < 0)
        return -1;
    u->top = s->up;
    free(s);
    if (!u->top)
        return 0;
    int up = openat(u->to, "..", OPEN_DIRECTORY);
    if (up < 0)
        return failed(u, u->path);
    drop_fd(&u->to);
    u->to = up;
    u->path[u->top->length] = 0;
    return 0;
}

/* Makes the directory of the first `length` bytes of `path`, which is in the
 * current one, and enters it. */
static int enter(struct upper *u, const char *path, size_t length,
                 const struct upper_like *like) {
    memcpy(u->path, path, length);
    u->path[length] = 0;
    const char *name = u->path + u->top->length + (u->top->length > 0);
    int fd = -1;
    if (mkdirat(u->to, name, 0700) < 0 ||
        (fd = openat(u->to, name, OPEN_DIRECTORY)) < 0) {
        int result = failed(u, u->path);
        u->path[u->top->length] = 0;
        return result;
    }
    drop_fd(&u->to);
    u->to = fd;
    u->made++;
    return push(u, length, like);
}

/* Whether the current directory has `path` below it. */
static bool is_above(const struct upper *u, const char *path) {
    size_t n = u->top->length;
    return n == 0 || (strncmp(u->path, path, n) == 0 && path[n] == '/');
}

/* Goes to the directory of `path`; *name is the rest of it. */
static int go_to(struct upper *u, const char *path, const char **name) {
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) : 0;
    while (!is_above(u, path))
        if (leave(u) < 0)
            return -1;
    while (u->top->length < length) {
        size_t from = u->top->length ? u->top->length + 1 : 0;
        size_t next = from + strcspn(path + from, "/");
        struct upper_like like;
        char above[INSPECT_PATH];
        snprintf(above, sizeof above, "%.*s", (int)next, path);
        if (u->look(u->arg, above, &like, u->f) < 0 ||
            enter(u, path, next, &like) < 0)
            return -1;
    }
    *name = slash ? slash + 1 : path;
    return 0;
}

int upper_directory(struct upper *u, const char *path,
                    const struct upper_like *like) {
    const char *name;
    if (!*path) {
        u->top->like = *like; /* the root is open from the beginning */
        u->made++;
        return 0;
    }
    return go_to(u, path, &name) < 0 ? -1 : enter(u, path, strlen(path), like);
}

/* ---- other entries ---- */

static int create(struct upper *u, const char *name) {
    return openat(u->to, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
}

static int set_file(struct upper *u, int fd, const char *path,
                    const struct upper_like *like) {
    struct stat st = host_stat(u, &like->st);
    int from CLEANUP(cleanup_close) =
        placed_open(u->dir_fd, &like->attributes, path, 0);
    return from < 0 ? -1 : copy_metadata(&u->copier, from, fd, &st);
}

static int copy_file(struct upper *u, const char *path, const char *name,
                     const struct placed *from, const struct upper_like *like) {
    int in CLEANUP(cleanup_close) = placed_open(u->dir_fd, from, path, 0);
    int out CLEANUP(cleanup_close) = in < 0 ? -1 : create(u, name);
    return out < 0 || copy_data(&u->copier, in, out, from->st.st_size) < 0
               ? -1
               : set_file(u, out, path, like);
}

static int copy_other(struct upper *u, const char *path, const char *name,
                      const struct placed *from,
                      const struct upper_like *like) {
    char layer[32], full[INSPECT_PATH + 40];
    struct stat st = host_stat(u, &like->st);
    layer_path(from->layer, layer);
    snprintf(full, sizeof full, "%s/%s", layer, path);
    return copy_special(u->dir_fd, full, u->to, name, &st);
}

int upper_copy(struct upper *u, const char *path, const struct placed *from,
               const struct upper_like *like, bool whole) {
    const char *name;
    char link[64];
    bool many = whole && from->st.st_nlink > 1;
    snprintf(link, sizeof link, "%lld-%llu", (long long)from->layer,
             (unsigned long long)from->st.st_ino);
    if (go_to(u, path, &name) < 0)
        return -1;
    u->made++;
    if (many && linkat(u->links, link, u->to, name, 0) == 0)
        return 0;
    int result = S_ISREG(from->st.st_mode)
                     ? copy_file(u, path, name, from, like)
                     : copy_other(u, path, name, from, like);
    /* A file that has as many names as the file system allows lacks this
     * one. */
    if (result == 0 && many && linkat(u->to, name, u->links, link, 0) < 0 &&
        errno != EMLINK && errno != EEXIST)
        result = -1;
    return result < 0 ? failed(u, path) : 0;
}

int upper_text(struct upper *u, const char *path, const char *data, size_t size,
               const struct upper_like *like) {
    const char *name;
    if (go_to(u, path, &name) < 0)
        return -1;
    int fd CLEANUP(cleanup_close) = create(u, name);
    u->made++;
    if (fd < 0 || write_all(fd, data, size) < 0 ||
        set_file(u, fd, path, like) < 0)
        return failed(u, path);
    return 0;
}

int upper_hide(struct upper *u, const char *path) {
    const char *name;
    if (go_to(u, path, &name) < 0)
        return -1;
    u->made++;
    return mknodat(u->to, name, S_IFCHR | 0600, makedev(0, 0)) < 0
               ? failed(u, path)
               : 0;
}

/* ---- all of it ---- */

int upper_open(struct upper *u, const struct workspace *w) {
    struct upper_like root;
    u->to = u->links = -1;
    u->copier.piece = malloc(COPY_PIECE);
    if (!u->copier.piece)
        return fault_memory(u->f);
    snprintf(u->links_path, sizeof u->links_path, "w/%lld/links",
             (long long)w->number);
    if ((u->to = openat(u->dir_fd, w->upper, OPEN_DIRECTORY)) < 0 ||
        mkdirat(u->dir_fd, u->links_path, 0700) < 0 ||
        (u->links = openat(u->dir_fd, u->links_path, OPEN_DIRECTORY)) < 0)
        return failed(u, "");
    return u->look(u->arg, "", &root, u->f) < 0 ? -1 : push(u, 0, &root);
}

int upper_finish(struct upper *u) {
    while (u->top)
        if (leave(u) < 0)
            return -1;
    drop_fd(&u->links);
    return tree_delete_at(u->dir_fd, u->links_path) < 0 ? failed(u, "") : 0;
}

void upper_close(struct upper *u) {
    for (struct upper_step *up; u->top; u->top = up) {
        up = u->top->up;
        free(u->top);
    }
    drop_fd(&u->to);
    drop_fd(&u->links);
    free(u->copier.piece);
    u->copier.piece = NULL;
}
