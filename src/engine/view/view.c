/* view.c: see view.h.
 *
 * A directory of the view is a path and the layers that take part in it: in
 * each of them the path leads through real directories only, so it can be given
 * to the kernel as it is. */
#define _GNU_SOURCE
#include "base/clock.h"
#include "base/descriptor.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/overlay.h"
#include "base/scope.h"
#include "base/url.h"
#include "view/internal.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#define MAX_LINKS 40
#define MAX_ENTRIES 1000000
/* Of /etc/passwd and /etc/group. */
#define MAX_NAMES_FILE (1 << 20)

/* A path that was resolved, with the levels of all directories on the way. */
struct place {
    char path[INSPECT_PATH];
    size_t length;
    struct level *way;
    size_t depth;     /* way[depth] is the last directory */
    struct node node; /* its level is empty: a directory's is way[depth] */
};

void level_free(struct level *l) {
    free(l->layers);
    *l = (struct level){0};
}

static int level_add(struct level *l, uint32_t layer) {
    if ((l->count & (l->count - 1)) == 0) {
        size_t capacity = l->count ? l->count * 2 : 1;
        uint32_t *more = realloc(l->layers, capacity * sizeof *more);
        if (!more)
            return -1;
        l->layers = more;
    }
    l->layers[l->count++] = layer;
    return 0;
}

static int out_of_memory(struct fault *f) {
    return fault_memory(f);
}

/* The path of `name` in the directory `dir` of a layer, with a prefix that
 * makes it absolute; v->prefix_length skips that. */
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

/* 1: it is there, 0: it is not, -1 with errno. */
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

/* Opens what was seen by layer_stat. */
static int layer_open(const struct view *v, uint32_t layer, const char *dir,
                      const char *name, int flags) {
    struct full full;
    full_path(v, layer, dir, name, &full);
    return open_scoped(v->dir_fd, full.text + v->prefix_length,
                       (uint64_t)flags | O_RDONLY | O_NOFOLLOW | O_NONBLOCK |
                           O_NOCTTY | O_CLOEXEC,
                       RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
}

static uint32_t unshift(const struct view *v, uint32_t id) {
    bool ours = id >= v->ids.base && id - v->ids.base < v->ids.count;
    return ours ? id - v->ids.base : 65534;
}

int view_find(const struct view *v, const struct level *in, const char *dir,
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
            out->st.st_uid = unshift(v, st.st_uid);
            out->st.st_gid = unshift(v, st.st_gid);
            out->layer = layer;
            found = true;
        }
        if (!S_ISDIR(st.st_mode))
            break;
        if (level_add(&out->level, layer) < 0)
            return -1;
        if (i + 1 < in->count && is_opaque(v, layer, dir, name))
            break;
    }
    return found;
}

struct view *view_open(int dir_fd, const int64_t *layers, size_t count,
                       struct id_range ids, struct fault *f) {
    struct view *v = calloc(1, sizeof *v + (count + 1) * sizeof *v->layers);
    if (!v) {
        out_of_memory(f);
        return NULL;
    }
    v->dir_fd = dir_fd;
    v->ids = ids;
    v->count = count + 1;
    if (count)
        memcpy(v->layers, layers, count * sizeof *layers);
    v->prefix_length = (size_t)snprintf(v->prefix, sizeof v->prefix,
                                        "/proc/self/fd/%d/", dir_fd);
    for (size_t i = 0; i < v->count; i++) {
        struct stat st;
        if (layer_stat(v, (uint32_t)i, "", "", &st) == 1)
            continue;
        fault_errno(f, "layer %lld is missing", (long long)v->layers[i]);
        view_close(v);
        return NULL;
    }
    return v;
}

void view_close(struct view *v) {
    if (!v)
        return;
    free(v->users.text);
    free(v->users.list);
    free(v->groups.text);
    free(v->groups.list);
    free(v);
}

static void place_free(struct place *p) {
    for (size_t i = 0; p->way && i <= p->depth; i++)
        level_free(&p->way[i]);
    free(p->way);
    p->way = NULL;
    level_free(&p->node.level);
}

int view_root(const struct view *v, struct node *out) {
    *out = (struct node){0};
    for (size_t i = 0; i < v->count; i++)
        if (level_add(&out->level, (uint32_t)i) < 0)
            return -1;
    if (layer_stat(v, 0, "", "", &out->st) != 1)
        return -1;
    out->st.st_uid = unshift(v, out->st.st_uid);
    out->st.st_gid = unshift(v, out->st.st_gid);
    return 0;
}

/* Starts at the root. */
static int place_root(const struct view *v, struct place *p) {
    *p = (struct place){.way = calloc(1, sizeof *p->way)};
    if (!p->way)
        return -1;
    int result = view_root(v, &p->node);
    p->way[0] = p->node.level;
    p->node.level = (struct level){0};
    return result;
}

static void place_up(struct place *p) {
    if (p->depth == 0)
        return;
    level_free(&p->way[p->depth--]);
    char *slash = strrchr(p->path, '/');
    p->length = slash ? (size_t)(slash - p->path) : 0;
    p->path[p->length] = 0;
}

/* Goes into a directory: takes node.level over. */
static int place_down(struct place *p, const char *name, struct node *n) {
    struct level *way = realloc(p->way, (p->depth + 2) * sizeof *way);
    if (!way)
        return -1;
    p->way = way;
    p->way[++p->depth] = n->level;
    n->level = (struct level){0};
    p->length +=
        (size_t)snprintf(p->path + p->length, sizeof p->path - p->length,
                         "%s%s", p->length ? "/" : "", name);
    return 0;
}

static bool path_fits(const char *dir, const char *name) {
    return strlen(dir) + strlen(name) + 2 <= INSPECT_PATH;
}

/* What is still to be resolved: a path, growing when a link is met. */
struct pending {
    char text[2 * PATH_MAX];
    const char *at;
    int links;
};

static int read_link(const struct view *v, uint32_t layer, const char *dir,
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

/* Puts the target of a link before the rest. 0, or -1 with errno. */
static int expand_link(const struct view *v, struct place *p, const char *name,
                       const struct node *n, struct pending *rest) {
    char target[PATH_MAX], joined[sizeof rest->text];
    if (++rest->links > MAX_LINKS) {
        errno = ELOOP;
        return -1;
    }
    if (read_link(v, n->layer, p->path, name, target) < 0)
        return -1;
    int length = snprintf(joined, sizeof joined, "%s/%s", target, rest->at);
    if ((size_t)length >= sizeof joined) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(rest->text, joined, (size_t)length + 1);
    rest->at = rest->text;
    while (target[0] == '/' && p->depth)
        place_up(p);
    return 0;
}

/* Takes the next part off `rest`; false at the end. */
static bool next_part(struct pending *rest, char name[NAME_MAX + 1]) {
    rest->at += strspn(rest->at, "/");
    size_t length = strcspn(rest->at, "/");
    if (length == 0)
        return false;
    /* A longer one cannot exist; cut, it cannot be found either. */
    snprintf(name, NAME_MAX + 1, "%.*s", (int)length, rest->at);
    if (length > NAME_MAX)
        snprintf(name, NAME_MAX + 1, "%s", "");
    rest->at += length;
    return true;
}

/* The name that a list has percent-encoded because it is not UTF-8: a client
 * that knows nothing of that asks for what it was told. */
static bool raw_name(const char *name, char out[NAME_MAX + 1]) {
    snprintf(out, NAME_MAX + 1, "%s", name);
    return strchr(name, '%') && percent_decode(out, false) &&
           !strchr(out, '/') && !json_is_utf8(out, strlen(out));
}

/* One step. 1: go on, 0: `p` is a leaf, -1 with errno. */
static int resolve_part(const struct view *v, struct place *p, const char *name,
                        struct pending *rest, bool follow) {
    struct node n;
    if (strcmp(name, ".") == 0)
        return 1;
    if (strcmp(name, "..") == 0) {
        place_up(p);
        return 1;
    }
    if (!*name || !path_fits(p->path, name)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    char raw[NAME_MAX + 1];
    int found = view_find(v, &p->way[p->depth], p->path, name, 0, &n);
    if (found == 0 && raw_name(name, raw)) {
        level_free(&n.level);
        name = raw;
        found = view_find(v, &p->way[p->depth], p->path, name, 0, &n);
    }
    bool last = rest->at[strspn(rest->at, "/")] == 0;
    int result = -1;
    if (found == 0) {
        errno = ENOENT;
    } else if (found == 1 && S_ISDIR(n.st.st_mode)) {
        result = place_down(p, name, &n) < 0 ? -1 : 1;
    } else if (found == 1 && S_ISLNK(n.st.st_mode) && (follow || !last)) {
        result = expand_link(v, p, name, &n, rest) < 0 ? -1 : 1;
    } else if (found == 1 && !last) {
        errno = ENOTDIR;
    } else if (found == 1) {
        result = place_down(p, name, &n) < 0 ? -1 : 0;
    }
    level_free(&n.level);
    p->node = n;
    return result;
}

static int resolve_fault(const char *path, struct fault *f) {
    switch (errno) {
    case ENOENT:
    case ENOTDIR:
    case ENAMETOOLONG:
        return fault_set(f, 404, "no such path in the image: %.300s", path);
    case ELOOP:
        return fault_set(f, 422, "too many symbolic links: %.300s", path);
    default:
        return fault_errno(f, "reading %.300s", path);
    }
}

/* Of a directory that was reached through ".." only its path is known. */
static int refresh_directory(const struct view *v, struct place *p) {
    uint32_t layer = p->way[p->depth].layers[0];
    if (layer_stat(v, layer, p->path, "", &p->node.st) != 1)
        return -1;
    p->node.layer = layer;
    p->node.st.st_uid = unshift(v, p->node.st.st_uid);
    p->node.st.st_gid = unshift(v, p->node.st.st_gid);
    return 0;
}

/* Resolves a path of the image. `p` is to be freed whatever the outcome. */
static int resolve(const struct view *v, const char *path, bool follow,
                   struct place *p, struct fault *f) {
    struct pending rest = {.at = rest.text};
    char name[NAME_MAX + 1];
    *p = (struct place){0};
    if (path[0] != '/')
        return fault_set(f, 400, "path '%.300s' is not absolute", path);
    if (strlen(path) >= INSPECT_PATH)
        return fault_set(f, 400, "the path is longer than %d bytes",
                         INSPECT_PATH - 1);
    memcpy(rest.text, path, strlen(path) + 1);
    if (place_root(v, p) < 0)
        return fault_errno(f, "reading the image");
    int more = 1;
    while (more == 1 && next_part(&rest, name))
        more = resolve_part(v, p, name, &rest, follow);
    if (more == 1 && refresh_directory(v, p) < 0)
        more = -1;
    return more < 0 ? resolve_fault(path, f) : 0;
}

int view_open_entry(const struct view *v, uint32_t layer, const char *path,
                    int flags) {
    return layer_open(v, layer, path, "", flags);
}

int view_read_link(const struct view *v, uint32_t layer, const char *path,
                   char out[PATH_MAX]) {
    return read_link(v, layer, path, "", out);
}

static const char *last_part(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

int inspect_stat(struct view *v, const char *path, bool follow,
                 struct item *out, struct fault *f) {
    struct place p;
    int result = resolve(v, path, follow, &p, f);
    v->target[0] = 0;
    if (result == 0 && S_ISLNK(p.node.st.st_mode) &&
        read_link(v, p.node.layer, p.path, "", v->target) < 0)
        result = fault_errno(f, "reading %.300s", path);
    if (result == 0) {
        memcpy(v->path, p.path, p.length + 1);
        *out = (struct item){.path = v->path,
                             .name = last_part(v->path),
                             .target = v->target,
                             .st = p.node.st,
                             .layer = v->layers[p.node.layer]};
    }
    place_free(&p);
    return result;
}

/* Opens what `p` leads to. */
static int open_place(const struct view *v, const struct place *p, int flags) {
    return layer_open(v, p->node.layer, p->path, "", flags);
}

int inspect_open(struct view *v, const char *path, struct stat *st,
                 struct fault *f) {
    struct place p;
    int fd CLEANUP(cleanup_close) = -1;
    int result = resolve(v, path, true, &p, f);
    if (result == 0 && !S_ISREG(p.node.st.st_mode))
        result = fault_set(f, 422, "not a regular file: %.300s", path);
    if (result == 0 && (fd = open_place(v, &p, 0)) < 0)
        result = fault_errno(f, "opening %.300s", path);
    if (st)
        *st = p.node.st;
    place_free(&p);
    return result < 0 ? -1 : steal_fd(&fd);
}

void entries_free(struct entries *e) {
    buffer_free(&e->text);
    free(e->list);
    *e = (struct entries){0};
}

void entries_init(struct entries *e) {
    *e = (struct entries){0};
    buffer_init(&e->text, SIZE_MAX / 2);
}

static int add_entry(struct entries *e, const char *name, uint32_t position) {
    if (e->count == e->capacity) {
        size_t capacity = e->capacity ? e->capacity * 2 : 32;
        struct entry *more = realloc(e->list, capacity * sizeof *more);
        if (!more)
            return -1;
        e->list = more;
        e->capacity = capacity;
    }
    size_t at = e->text.length;
    if (!buffer_add(&e->text, name, strlen(name) + 1))
        return -1;
    e->list[e->count++] = (struct entry){at, position};
    return 0;
}

int entries_read(struct entries *e, int fd, uint32_t position) {
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        drop_fd(&fd);
        return -1;
    }
    struct dirent *x;
    int result = 0;
    errno = 0;
    while (result == 0 && (x = readdir(d))) {
        if (strcmp(x->d_name, ".") == 0 || strcmp(x->d_name, "..") == 0)
            continue;
        if (e->count == MAX_ENTRIES)
            errno = EFBIG;
        if (e->count == MAX_ENTRIES || add_entry(e, x->d_name, position) < 0)
            result = -1;
    }
    int error = errno;
    closedir(d);
    errno = error;
    return error ? -1 : result;
}

static int compare_entries(const void *a, const void *b, void *text) {
    const struct entry *x = a, *y = b;
    int order = strcmp((char *)text + x->name, (char *)text + y->name);
    if (order)
        return order;
    return (x->position > y->position) - (x->position < y->position);
}

void entries_sort(struct entries *e) {
    if (e->count == 0)
        return;
    qsort_r(e->list, e->count, sizeof *e->list, compare_entries, e->text.data);
    size_t kept = 1;
    for (size_t i = 1; i < e->count; i++)
        if (strcmp(e->text.data + e->list[i].name,
                   e->text.data + e->list[kept - 1].name) != 0)
            e->list[kept++] = e->list[i];
    e->count = kept;
}

int view_entries(const struct view *v, const struct level *l, const char *path,
                 struct entries *e, struct fault *f) {
    entries_init(e);
    for (uint32_t i = 0; i < l->count; i++) {
        int fd = layer_open(v, l->layers[i], path, "", O_DIRECTORY);
        if (entries_read(e, fd, i) == 0)
            continue;
        if (errno == EFBIG)
            return fault_set(f, 422, "/%.300s has more than %d entries", path,
                             MAX_ENTRIES);
        return fault_errno(f, "reading /%.300s", path);
    }
    entries_sort(e);
    return 0;
}

/* A directory that is being gone through. `path` holds the path of what was
 * found last; `length` is how much of it is the directory. */
struct cursor {
    const struct view *v;
    struct level level;
    struct entries entries;
    size_t length, next;
};

static void cursor_free(struct cursor *c) {
    level_free(&c->level);
    entries_free(&c->entries);
}

/* Goes to the next name that is there; n->level is the caller's. 1, 0, -1. */
static int cursor_next(struct cursor *c, char path[INSPECT_PATH],
                       struct node *n, struct fault *f) {
    while (c->next < c->entries.count) {
        const struct entry *e = &c->entries.list[c->next++];
        const char *name = c->entries.text.data + e->name;
        path[c->length] = 0;
        if (!path_fits(path, name))
            return fault_set(f, 422, "/%.300s... is deeper than %d bytes", path,
                             INSPECT_PATH);
        int found = view_find(c->v, &c->level, path, name, e->position, n);
        if (found < 0)
            level_free(&n->level);
        if (found < 0)
            return fault_errno(f, "reading /%.300s", path);
        if (!found)
            continue; /* a whiteout */
        snprintf(path + c->length, INSPECT_PATH - c->length, "%s%s",
                 c->length ? "/" : "", name);
        return 1;
    }
    return 0;
}

static int fill_item(const struct view *v, const char *path,
                     const struct node *n, char target[PATH_MAX],
                     struct item *out, struct fault *f) {
    target[0] = 0;
    if (S_ISLNK(n->st.st_mode) && read_link(v, n->layer, path, "", target) < 0)
        return fault_errno(f, "reading /%.300s", path);
    *out = (struct item){.path = path,
                         .name = last_part(path),
                         .target = target,
                         .st = n->st,
                         .layer = v->layers[n->layer]};
    return 0;
}

static int list_place(struct view *v, struct place *p,
                      bool (*visit)(void *arg, const struct item *i), void *arg,
                      struct fault *f) {
    struct cursor c = {.v = v, .level = p->way[p->depth], .length = p->length};
    struct node n;
    struct item item;
    int more = view_entries(v, &c.level, p->path, &c.entries, f);
    while (more >= 0 && (more = cursor_next(&c, p->path, &n, f)) == 1) {
        level_free(&n.level);
        more = fill_item(v, p->path, &n, v->target, &item, f);
        if (more < 0 || !visit(arg, &item))
            break;
    }
    entries_free(&c.entries);
    return more < 0 ? -1 : 0;
}

int inspect_list(struct view *v, const char *path,
                 bool (*visit)(void *arg, const struct item *i), void *arg,
                 struct fault *f) {
    struct place p;
    int result = resolve(v, path, true, &p, f);
    if (result == 0 && !S_ISDIR(p.node.st.st_mode))
        result = fault_set(f, 422, "not a directory: %.300s", path);
    if (result == 0)
        result = list_place(v, &p, visit, arg, f);
    place_free(&p);
    return result;
}

struct walk {
    struct view *v;
    bool begun;
    char path[INSPECT_PATH], target[PATH_MAX];
    struct node current; /* its level is set when it is to be gone into */
    struct cursor *stack;
    size_t depth, capacity;
};

struct walk *walk_begin(struct view *v, const char *path, struct fault *f) {
    struct place p;
    struct walk *w = calloc(1, sizeof *w);
    if (!w) {
        out_of_memory(f);
        return NULL;
    }
    w->v = v;
    if (resolve(v, path, true, &p, f) < 0) {
        free(steal_pointer(&w));
    } else {
        memcpy(w->path, p.path, p.length + 1);
        w->current = p.node;
        if (S_ISDIR(p.node.st.st_mode)) {
            w->current.level = p.way[p.depth];
            p.way[p.depth] = (struct level){0};
        }
    }
    place_free(&p);
    return w;
}

/* Puts the current directory on the stack. */
static int walk_down(struct walk *w, struct fault *f) {
    if (w->depth == w->capacity) {
        size_t capacity = w->capacity ? w->capacity * 2 : 16;
        struct cursor *more = realloc(w->stack, capacity * sizeof *more);
        if (!more)
            return out_of_memory(f);
        w->stack = more;
        w->capacity = capacity;
    }
    struct cursor *c = &w->stack[w->depth++];
    *c = (struct cursor){
        .v = w->v, .level = w->current.level, .length = strlen(w->path)};
    w->current.level = (struct level){0};
    return view_entries(w->v, &c->level, w->path, &c->entries, f);
}

int walk_next(struct walk *w, struct item *out, struct fault *f) {
    if (!w->begun) {
        w->begun = true;
        return fill_item(w->v, w->path, &w->current, w->target, out, f) < 0 ? -1
                                                                            : 1;
    }
    if (w->current.level.count && walk_down(w, f) < 0)
        return -1;
    while (w->depth) {
        struct cursor *c = &w->stack[w->depth - 1];
        int more = cursor_next(c, w->path, &w->current, f);
        if (more < 0)
            return -1;
        if (more &&
            fill_item(w->v, w->path, &w->current, w->target, out, f) < 0)
            return -1;
        if (more)
            return 1;
        cursor_free(c);
        w->depth--;
    }
    return 0;
}

int walk_open(struct walk *w, struct fault *f) {
    mode_t mode = w->current.st.st_mode;
    int flags = S_ISDIR(mode) ? O_DIRECTORY : 0;
    if (!S_ISREG(mode) && !S_ISDIR(mode))
        return fault_set(f, 422, "neither a file nor a directory: /%.300s",
                         w->path);
    int fd = layer_open(w->v, w->current.layer, w->path, "", flags);
    return fd < 0 ? fault_errno(f, "opening /%.300s", w->path) : fd;
}

void walk_skip(struct walk *w) {
    level_free(&w->current.level);
}

void walk_end(struct walk *w) {
    if (!w)
        return;
    level_free(&w->current.level);
    while (w->depth)
        cursor_free(&w->stack[--w->depth]);
    free(w->stack);
    free(w);
}

static int compare_names(const void *a, const void *b) {
    const struct id_name *x = a, *y = b;
    if (x->id != y->id)
        return x->id > y->id ? 1 : -1;
    return (x->line > y->line) - (x->line < y->line);
}

static bool is_printable(const char *name) {
    for (const char *p = name; *p; p++)
        if (*p <= ' ' || *p > '~')
            return false;
    return *name;
}

/* "name:x:id:..." */
static void add_name(struct id_names *n, char *line, uint32_t number) {
    char *name = strsep(&line, ":"), *end;
    strsep(&line, ":");
    const char *id = line ? strsep(&line, ":") : NULL;
    if (!id || *id < '0' || *id > '9' || !is_printable(name))
        return;
    unsigned long value = strtoul(id, &end, 10);
    if (*end || value > UINT32_MAX)
        return;
    if ((n->count & (n->count - 1)) == 0) {
        size_t capacity = n->count ? n->count * 2 : 1;
        struct id_name *more = realloc(n->list, capacity * sizeof *more);
        if (!more)
            return;
        n->list = more;
    }
    n->list[n->count++] = (struct id_name){(uint32_t)value, number, name};
}

/* A file that is missing, no file or damaged gives no names. */
static void load_names(struct view *v, struct id_names *n, const char *path) {
    n->loaded = true;
    int fd CLEANUP(cleanup_close) = inspect_open(v, path, NULL, NULL);
    n->text = fd < 0 ? NULL : malloc(MAX_NAMES_FILE + 1);
    ssize_t length = n->text ? read_all(fd, n->text, MAX_NAMES_FILE) : -1;
    if (length < 0)
        return;
    n->text[length] = 0;
    char *rest = n->text, *line;
    uint32_t number = 0;
    while ((line = strsep(&rest, "\n")))
        add_name(n, line, number++);
    if (n->count)
        qsort(n->list, n->count, sizeof *n->list, compare_names);
}

/* The first line with the id counts. */
static const char *find_name(const struct id_names *n, uint32_t id) {
    size_t low = 0, high = n->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (n->list[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < n->count && n->list[low].id == id ? n->list[low].name : NULL;
}

const char *view_user(struct view *v, uid_t uid) {
    if (!v->users.loaded)
        load_names(v, &v->users, "/etc/passwd");
    return find_name(&v->users, uid);
}

const char *view_group(struct view *v, gid_t gid) {
    if (!v->groups.loaded)
        load_names(v, &v->groups, "/etc/group");
    return find_name(&v->groups, gid);
}
