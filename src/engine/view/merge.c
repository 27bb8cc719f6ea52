/* merge.c: see merge.h. */
#define _GNU_SOURCE
#include "view/merge.h"
#include "base/fd.h"
#include "base/overlay.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

void parts_free(struct parts *p) {
    free(p->layers);
    *p = (struct parts){0};
}

static int parts_add(struct parts *p, uint32_t layer) {
    if ((p->count & (p->count - 1)) == 0) {
        size_t capacity = p->count ? p->count * 2 : 1;
        uint32_t *more = realloc(p->layers, capacity * sizeof *more);
        if (!more)
            return -1;
        p->layers = more;
    }
    p->layers[p->count++] = layer;
    return 0;
}

/* The path of an entry of a layer, absolute: without its first v->prefix_length
 * bytes it is relative to v->dir_fd. */
struct full {
    char text[PATH_MAX + 128];
};

static void full_path(const struct view *v, uint32_t layer, const char *dir,
                      const char *name, struct full *out) {
    char path[32];
    layer_path(v->layers[layer], path);
    snprintf(out->text, sizeof out->text, "%s%s%s%s%s%s", v->prefix, path,
             *dir ? "/" : "", dir, *name ? "/" : "", name);
}

/* 1: it is there; 0: it is not; -1 with errno. */
static int layer_stat(const struct view *v, uint32_t layer, const char *dir,
                      const char *name, struct stat *st) {
    struct full full;
    full_path(v, layer, dir, name, &full);
    if (fstatat(v->dir_fd, full.text + v->prefix_length, st,
                AT_SYMLINK_NOFOLLOW) == 0)
        return 1;
    return errno == ENOENT || errno == ENOTDIR ? 0 : -1;
}

static bool is_opaque(const struct view *v, uint32_t layer, const char *dir,
                      const char *name) {
    struct full full;
    char value[2];
    full_path(v, layer, dir, name, &full);
    return lgetxattr(full.text, "user.overlay.opaque", value, sizeof value) ==
               1 &&
           value[0] == 'y';
}

int view_open_entry(const struct view *v, uint32_t layer, const char *path,
                    int flags) {
    struct full full;
    full_path(v, layer, path, "", &full);
    return open_scoped(v->dir_fd, full.text + v->prefix_length,
                       (uint64_t)flags | O_RDONLY | O_NOFOLLOW | O_NONBLOCK |
                           O_NOCTTY | O_CLOEXEC,
                       RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
}

static uint32_t unshift(const struct view *v, uint32_t id) {
    bool ours = id >= v->ids.base && id - v->ids.base < v->ids.count;
    return ours ? id - v->ids.base : 65534;
}

static void unshift_owner(const struct view *v, struct stat *st) {
    st->st_uid = unshift(v, st->st_uid);
    st->st_gid = unshift(v, st->st_gid);
}

int view_stat_entry(const struct view *v, uint32_t layer, const char *path,
                    struct stat *out) {
    int there = layer_stat(v, layer, path, "", out);
    if (there == 1)
        unshift_owner(v, out);
    return there;
}

int view_find(const struct view *v, const struct parts *in, const char *dir,
              const char *name, size_t from, struct node *out) {
    bool found = false;
    *out = (struct node){0};
    for (size_t i = from; i < in->count; i++) {
        struct stat st;
        uint32_t layer = in->layers[i];
        int there = layer_stat(v, layer, dir, name, &st);
        if (there < 0)
            return -1;
        if (!there)
            continue;
        if (overlay_is_whiteout(&st) || (found && !S_ISDIR(st.st_mode)))
            break;
        if (!found) {
            out->st = st;
            unshift_owner(v, &out->st);
            out->layer = layer;
            found = true;
        }
        if (!S_ISDIR(st.st_mode))
            break;
        if (parts_add(&out->parts, layer) < 0)
            return -1;
        if (i + 1 < in->count && is_opaque(v, layer, dir, name))
            break;
    }
    return found;
}

int view_root(const struct view *v, struct node *out) {
    *out = (struct node){0};
    for (size_t i = 0; i < v->count; i++)
        if (parts_add(&out->parts, (uint32_t)i) < 0)
            return -1;
    return view_stat_entry(v, 0, "", &out->st) == 1 ? 0 : -1;
}

int view_read_link(const struct view *v, uint32_t layer, const char *dir,
                   const char *name, char out[PATH_MAX]) {
    struct full full;
    full_path(v, layer, dir, name, &full);
    ssize_t n =
        readlinkat(v->dir_fd, full.text + v->prefix_length, out, PATH_MAX - 1);
    if (n < 0)
        return -1;
    out[n] = 0;
    return 0;
}

int view_entries(const struct view *v, const struct parts *p, const char *path,
                 struct entries *e, struct fault *f) {
    entries_init(e);
    for (uint32_t i = 0; i < p->count; i++) {
        int fd = view_open_entry(v, p->layers[i], path, O_DIRECTORY);
        if (entries_read(e, fd, i) == 0)
            continue;
        if (errno == EFBIG)
            return fault_set(f, 422, "/%.300s has more than %d entries", path,
                             ENTRIES_MAX);
        return fault_errno(f, "reading /%.300s", path);
    }
    entries_sort(e);
    return 0;
}

static const char *last_part(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

int view_describe(const struct view *v, const char *path, const struct node *n,
                  char target[PATH_MAX], struct item *out, struct fault *f) {
    target[0] = 0;
    if (S_ISLNK(n->st.st_mode) &&
        view_read_link(v, n->layer, path, "", target) < 0)
        return fault_errno(f, "reading /%.300s", path);
    *out = (struct item){.path = path,
                         .name = last_part(path),
                         .target = target,
                         .st = n->st,
                         .layer = v->layers[n->layer]};
    return 0;
}
