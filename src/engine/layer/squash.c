/* squash.c: see squash.h.
 *
 * The layers are walked side by side. Each layer has one descriptor: of the
 * deepest directory on the way in which it takes part. So depth costs only
 * memory, and no path is longer than a name. */
#define _GNU_SOURCE
#include "layer/squash.h"
#include "base/descriptor.h"
#include "base/overlay.h"
#include "base/scope.h"
#include "base/tree.h"
#include "layer/copy.h"
#include "layer/layers.h"
#include "layer/publish.h"
#include "layer/workspace.h"
#include "view/entries.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#define OPEN_DIRECTORY (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
/* Must be free on the disk, in addition to the new layer. */
#define SPARE_BYTES (UINT64_C(256) << 20)

/* A directory that is being made. */
struct squash_step {
    struct squash_step *up;
    struct stat st;    /* of the highest layer that has it */
    uint32_t *parts;   /* the layers that take part in it, highest first */
    size_t count, own; /* how many; how many of those are squashed */
    struct entries entries;
    size_t next;
};

struct squash {
    size_t count, range; /* layers; how many of them are squashed */
    int *at;             /* an open directory in each */
    int to;              /* the one that is being made */
    int links; /* a directory with one more name for each file that has several
                */
    struct squash_step *top;
    const atomic_bool *cancelled;
    const char *doing; /* for messages */
    struct copier copier;
    struct fault *f;
};

/* ---- one entry ---- */

static int failed(struct squash *s, const char *what, const char *name) {
    return fault_errno(s->f, "%s: %s %.200s", s->doing, what, name);
}

static int check_cancelled(struct squash *s) {
    return *s->cancelled ? fault_set(s->f, 503, "the engine is stopping") : 0;
}

static int copy_file(struct squash *s, int dir, const char *name,
                     const struct stat *st) {
    int from CLEANUP(cleanup_close) =
        openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (from < 0)
        return failed(s, "reading", name);
    int to CLEANUP(cleanup_close) =
        openat(s->to, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (to < 0 || copy_data(&s->copier, from, to, st->st_size) < 0 ||
        copy_metadata(&s->copier, from, to, st) < 0)
        return check_cancelled(s) < 0 ? -1 : failed(s, "copying", name);
    return 0;
}

/* Symbolic links, FIFOs, sockets. */
static int copy_other(struct squash *s, int dir, const char *name,
                      const struct stat *st) {
    return copy_special(dir, name, s->to, name, st) < 0
               ? failed(s, "copying", name)
               : 0;
}

/* Names of one file in one layer become names of one file. */
static int copy_entry(struct squash *s, uint32_t layer, const char *name,
                      const struct stat *st) {
    char link[64];
    int dir = s->at[layer];
    snprintf(link, sizeof link, "%u-%llu", layer,
             (unsigned long long)st->st_ino);
    if (st->st_nlink > 1 && linkat(s->links, link, s->to, name, 0) == 0)
        return 0;
    int result = S_ISREG(st->st_mode) ? copy_file(s, dir, name, st)
                                      : copy_other(s, dir, name, st);
    /* A file that has as many names as the file system allows lacks this
     * one. */
    if (result == 0 && st->st_nlink > 1 &&
        linkat(s->to, name, s->links, link, 0) < 0 && errno != EMLINK &&
        errno != EEXIST)
        return failed(s, "linking", name);
    return result;
}

/* ---- directories ---- */

/* 1: it is there, 0: it is not, -1 with errno. */
static int look(const struct squash *s, uint32_t layer, const char *name,
                struct stat *st) {
    if (fstatat(s->at[layer], name, st, AT_SYMLINK_NOFOLLOW) == 0)
        return 1;
    return errno == ENOENT ? 0 : -1;
}

/* Whether the layers below those that are squashed show something by this
 * name. 1, 0, -1 with errno. */
static int is_below(const struct squash *s, const char *name) {
    const struct squash_step *d = s->top;
    struct stat st;
    int there = 0;
    for (size_t i = d->own; i < d->count && there == 0; i++)
        there = look(s, d->parts[i], name, &st);
    return there == 1 ? !overlay_is_whiteout(&st) : there;
}

/* Hides what is below, if there is something. */
static int make_whiteout(struct squash *s, const char *name) {
    int below = is_below(s, name);
    if (below < 0 ||
        (below && mknodat(s->to, name, S_IFCHR | 0600, makedev(0, 0)) < 0))
        return failed(s, "hiding", name);
    return 0;
}

static struct squash_step *step_free(struct squash_step *d) {
    struct squash_step *up = d->up;
    entries_free(&d->entries);
    free(d->parts);
    free(d);
    return up;
}

static struct squash_step *step_new(struct squash *s, size_t parts) {
    struct squash_step *d = calloc(1, sizeof *d);
    uint32_t *list = d ? calloc(parts + 1, sizeof *list) : NULL;
    if (!list) {
        free(d);
        fault_memory(s->f);
        return NULL;
    }
    d->parts = list;
    entries_init(&d->entries);
    return d;
}

static int read_names(struct squash *s, struct squash_step *d) {
    for (size_t i = 0; i < d->own; i++) {
        int fd = openat(s->at[d->parts[i]], ".", OPEN_DIRECTORY);
        if (entries_read(&d->entries, fd, (uint32_t)i) == 0)
            continue;
        if (errno == EFBIG)
            return fault_set(s->f, 422,
                             "a directory has too many entries to be squashed");
        return failed(s, "reading", "a directory");
    }
    entries_sort(&d->entries);
    return 0;
}

/* Enters the directory `name` in one layer. 1: lower layers may take part as
 * well; 0: no lower layer takes part; -1 with errno. */
static int go_into(struct squash *s, struct squash_step *d, uint32_t layer,
                   const char *name) {
    struct stat st;
    int there = look(s, layer, name, &st);
    if (there <= 0)
        return there < 0 ? -1 : 1;
    if (!S_ISDIR(st.st_mode))
        return 0;
    int fd = openat(s->at[layer], name, OPEN_DIRECTORY);
    if (fd < 0)
        return -1;
    drop_fd(&s->at[layer]);
    s->at[layer] = fd;
    if (d->count == 0)
        d->st = st;
    d->parts[d->count++] = layer;
    d->own += layer < s->range;
    return !overlay_is_opaque(fd);
}

/* Makes the directory and enters it. */
static int make_directory(struct squash *s, const char *name, bool opaque) {
    if (mkdirat(s->to, name, 0700) < 0)
        return -1;
    int fd = openat(s->to, name, OPEN_DIRECTORY);
    if (fd < 0)
        return -1;
    drop_fd(&s->to);
    s->to = fd;
    return opaque ? fsetxattr(fd, "user.overlay.opaque", "y", 1, 0) : 0;
}

/* Enters the directory `name`; the part at `position` is the first that has
 * it. */
static int go_down(struct squash *s, const char *name, size_t position) {
    struct squash_step *up = s->top, *d = step_new(s, up->count);
    int more = 1, below = is_below(s, name);
    if (!d)
        return -1;
    for (size_t i = position; i < up->count && more == 1; i++)
        more = go_into(s, d, up->parts[i], name);
    /* What is below is hidden by a layer that is squashed. */
    bool opaque = more == 0 && d->count == d->own && below == 1;
    d->up = up;
    s->top = d;
    if (more < 0 || below < 0 || make_directory(s, name, opaque) < 0)
        return failed(s, "making", name);
    return read_names(s, d);
}

static int go_back(int *fd) {
    int up = openat(*fd, "..", OPEN_DIRECTORY);
    if (up < 0)
        return -1;
    close_fd(*fd);
    *fd = up;
    return 0;
}

/* The directory's own metadata comes last: making its entries changes it. */
static int finish_directory(struct squash *s) {
    struct squash_step *d = s->top;
    if (copy_metadata(&s->copier, s->at[d->parts[0]], s->to, &d->st) < 0)
        return failed(s, "copying", "a directory");
    s->top = d->up;
    int result = s->top ? go_back(&s->to) : 0;
    for (size_t i = 0; s->top && i < d->count && result == 0; i++)
        result = go_back(&s->at[d->parts[i]]);
    step_free(d);
    return result < 0 ? failed(s, "leaving", "a directory") : 0;
}

static int squash_entry(struct squash *s, const char *name, size_t position) {
    uint32_t layer = s->top->parts[position];
    struct stat st;
    if (check_cancelled(s) < 0)
        return -1;
    if (look(s, layer, name, &st) != 1)
        return failed(s, "reading", name);
    if (overlay_is_whiteout(&st))
        return make_whiteout(s, name);
    return S_ISDIR(st.st_mode) ? go_down(s, name, position)
                               : copy_entry(s, layer, name, &st);
}

static int squash_all(struct squash *s) {
    while (s->top) {
        struct squash_step *d = s->top;
        if (d->next == d->entries.count) {
            if (finish_directory(s) < 0)
                return -1;
            continue;
        }
        const struct entry_name *e = &d->entries.list[d->next++];
        if (squash_entry(s, d->entries.text.data + e->name, e->position) < 0)
            return -1;
    }
    return check_cancelled(s);
}

/* ---- all of it ---- */

static int open_layer(int dir_fd, int64_t id, struct fault *f) {
    char path[32];
    layer_path(id, path);
    int fd = openat(dir_fd, path, OPEN_DIRECTORY);
    return fd < 0 ? fault_errno(f, "layer %s", path) : fd;
}

/* Opens the layers of the chain, and the skeleton below them. */
static int open_layers(struct squash *s, int dir_fd,
                       const struct chain_layer *chain) {
    for (size_t i = 0; i < s->count; i++) {
        s->at[i] = open_layer(dir_fd, i + 1 < s->count ? chain[i].id : 0, s->f);
        if (s->at[i] < 0)
            return -1;
    }
    return 0;
}

static int open_root(struct squash *s, int dir_fd, const struct workspace *w,
                     const char *links) {
    struct squash_step *d = step_new(s, s->count);
    if (!d)
        return -1;
    s->top = d;
    for (uint32_t i = 0; i < s->count; i++)
        d->parts[d->count++] = i;
    d->own = s->range;
    s->to = openat(dir_fd, w->upper, OPEN_DIRECTORY);
    if (s->to < 0 || fstat(s->at[0], &d->st) < 0 ||
        mkdirat(dir_fd, links, 0700) < 0 ||
        (s->links = openat(dir_fd, links, OPEN_DIRECTORY)) < 0)
        return failed(s, "opening", "a workspace");
    return read_names(s, d);
}

static void close_all(struct squash *s) {
    for (size_t i = 0; s->at && i < s->count; i++)
        drop_fd(&s->at[i]);
    drop_fd(&s->to);
    drop_fd(&s->links);
    while (s->top)
        s->top = step_free(s->top);
    free(s->at);
    free(s->copier.piece);
}

/* Fills the upper directory of a workspace. */
static int fill(int dir_fd, const struct workspace *w,
                const struct chain_layer *chain, size_t count, size_t range,
                const atomic_bool *cancelled, const char *doing,
                struct fault *f) {
    struct squash s = {
        .count = count + 1,
        .range = range,
        .to = -1,
        .links = -1,
        .cancelled = cancelled,
        .doing = doing,
        .copier = {.piece = malloc(COPY_PIECE), .deadline = {0, cancelled}},
        .at = malloc((count + 1) * sizeof *s.at),
        .f = f};
    char links[48];
    snprintf(links, sizeof links, "w/%lld/links", (long long)w->number);
    for (size_t i = 0; s.at && i < s.count; i++)
        s.at[i] = -1;
    int result = -1;
    if (!s.at || !s.copier.piece)
        fault_memory(f);
    else if (open_layers(&s, dir_fd, chain) == 0 &&
             open_root(&s, dir_fd, w, links) == 0)
        result = squash_all(&s);
    close_all(&s);
    if (result == 0 && tree_delete_at(dir_fd, links) < 0)
        result = fault_errno(f, "removing %s", links);
    return result;
}

static int check_space(int dir_fd, const struct chain_layer *chain,
                       size_t count, struct fault *f) {
    struct statvfs v;
    uint64_t needed = SPARE_BYTES;
    for (size_t i = 0; i < count; i++)
        needed += (uint64_t)chain[i].size;
    if (fstatvfs(dir_fd, &v) < 0)
        return fault_errno(f, "the data directory");
    if ((uint64_t)v.f_bavail * v.f_frsize >= needed)
        return 0;
    return fault_set(f, 507,
                     "no room to make one layer of %zu: %llu MB must be free "
                     "on the disk of the data directory",
                     count, (unsigned long long)(needed >> 20));
}

int squash_layers(struct layers *l, const struct chain_layer *chain,
                  size_t count, struct squash_range range,
                  const atomic_bool *cancelled, struct fault *f) {
    struct workspace w;
    int dir_fd = layers_directory(l);
    const struct chain_layer *from = chain + range.first;
    if (check_space(dir_fd, from, range.count, f) < 0 ||
        workspace_take_for_import(l, &w, f) < 0)
        return -1;
    if (fill(dir_fd, &w, from, count - range.first, range.count, cancelled,
             "squashing layers", f) < 0) {
        workspace_drop(l, &w);
        return -1;
    }
    return workspace_publish_squashed(l, &w, from, range.count, f);
}

/* A workspace is a layer with the negative number. */
int workspace_copy(struct layers *l, const struct workspace *from,
                   const int64_t *below, size_t count,
                   const atomic_bool *cancelled, struct workspace *out,
                   struct fault *f) {
    struct chain_layer *chain CLEANUP(cleanup_free) =
        calloc(count + 1, sizeof *chain);
    if (!chain)
        return fault_memory(f);
    chain[0].id = -from->number;
    for (size_t i = 0; i < count; i++)
        chain[i + 1].id = below[i];
    if (workspace_take_for_import(l, out, f) < 0)
        return -1;
    if (fill(layers_directory(l), out, chain, count + 1, 1, cancelled,
             "copying what was written", f) == 0)
        return 0;
    workspace_drop(l, out);
    return -1;
}
