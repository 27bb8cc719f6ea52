/* publish.c: see publish.h. */
#define _GNU_SOURCE
#include "layer/publish.h"
#include "base/descriptor.h"
#include "base/overlay.h"
#include "base/scope.h"
#include "base/tree.h"
#include "layer/internal.h"
#include "layer/survey.h"
#include "layer/trash.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Up to this many files and directories are synced one by one; more cost less
 * with one sync of the file system. */
#define SYNC_EACH 32

/* Opens what can be synced; links and special files are part of their
 * directory. */
static int open_entry(int dir, const char *name, const struct stat *st) {
    if (!S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode))
        return -1;
    return openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
}

/* Starts writing a file. The syncs that follow then share one commit of the
 * journal. */
static int start_writing(void *arg, int dir, const char *name,
                         const struct stat *st) {
    (void)arg;
    if (!S_ISREG(st->st_mode))
        return 0;
    int fd CLEANUP(cleanup_close) = open_entry(dir, name, st);
    return fd < 0 ? -1 : sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
}

/* Descriptors to sync. The disk flushes its cache for each sync, and once for
 * several that come at the same time: so a few threads sync together. */
struct syncing {
    int fds[8];
    size_t count;
    atomic_size_t next;
    atomic_int error;
};
enum { SYNC_HELPERS = 2 };

static void *sync_some(void *arg) {
    struct syncing *s = arg;
    for (size_t i; (i = s->next++) < s->count;)
        if (fsync(s->fds[i]) < 0)
            s->error = errno;
    return NULL;
}

/* Syncs and closes them. */
static int sync_all(struct syncing *s) {
    pthread_t helpers[SYNC_HELPERS];
    size_t n = 0;
    s->next = 0;
    while (n < SYNC_HELPERS && n + 1 < s->count &&
           pthread_create(&helpers[n], NULL, sync_some, s) == 0)
        n++;
    sync_some(s);
    while (n > 0)
        pthread_join(helpers[--n], NULL);
    while (s->count > 0)
        close_fd(s->fds[--s->count]);
    errno = s->error;
    return s->error ? -1 : 0;
}

/* Takes over fd, which may be -1 with errno. */
static int sync_later(struct syncing *s, int fd) {
    if (fd < 0)
        return -1;
    s->fds[s->count++] = fd;
    return s->count < sizeof s->fds / sizeof *s->fds ? 0 : sync_all(s);
}

static int sync_entry(void *arg, int dir, const char *name,
                      const struct stat *st) {
    if (!S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode))
        return 0;
    return sync_later(arg, open_entry(dir, name, st));
}

/* Syncs all below `fd`, and `fd` itself. */
static int sync_tree(struct syncing *s, int fd, int64_t entries) {
    if (entries > SYNC_EACH)
        return syncfs(fd);
    if (entries > 1 && tree_walk(fd, start_writing, NULL) < 0)
        return -1;
    if (tree_walk(fd, sync_entry, s) < 0)
        return -1;
    return sync_later(s, fcntl(fd, F_DUPFD_CLOEXEC, 0));
}

/* Ends what sync_tree() began, whether that worked or not, and syncs the
 * directory of all layers. */
static int sync_end(struct layers *l, struct syncing *s, int result) {
    int error = errno;
    if (result == 0 &&
        sync_later(s, openat(l->dir_fd, "l", OPEN_DIRECTORY)) < 0) {
        result = -1;
        error = errno;
    }
    int rest = sync_all(s);
    if (result < 0)
        errno = error;
    return result < 0 ? -1 : rest;
}

/* Moves the upper directory to its place, then syncs it: one sync covers the
 * files and the move. Without a row it is not a layer yet. */
static int move_and_sync(struct layers *l, int fd, const char *from,
                         const char *to, int64_t entries, struct fault *f) {
    struct syncing s = {.count = 0};
    if (renameat(l->dir_fd, from, l->dir_fd, to) < 0)
        return fault_errno(f, "moving a layer to %s", to);
    if (sync_end(l, &s, sync_tree(&s, fd, entries)) == 0)
        return 0;
    return fault_errno(f, "syncing a layer");
}

/* The rows that a layer gets: on top of `parent` for an image, or in place of
 * the first layers of a chain. */
struct purpose {
    int64_t parent;
    struct image *image;
    const struct chain_layer *chain;
    size_t count;
};

static int add_rows(struct layers *l, int64_t id, int64_t bytes,
                    const struct purpose *p, struct fault *f) {
    struct image *i = p->image;
    if (p->chain)
        return store_layer_squash(l->store, id, bytes, p->chain, p->count, f);
    i->layer = id;
    i->size = bytes;
    return store_snapshot_add(l->store, id, p->parent, bytes, i, f);
}

static int publish(struct layers *l, const struct workspace *w,
                   const struct survey *v, const struct purpose *p,
                   struct fault *f) {
    int64_t id;
    char path[32];
    int fd CLEANUP(cleanup_close) = openat(l->dir_fd, w->upper, OPEN_DIRECTORY);
    if (fd < 0)
        return fault_errno(f, "reading %s", w->upper);
    if (store_layer_reserve(l->store, &id, f) < 0)
        return -1;
    layer_path(id, path);
    if (move_and_sync(l, fd, w->upper, path, v->entries, f) < 0 ||
        add_rows(l, id, v->bytes, p, f) < 0) {
        trash_move(l, path);
        return -1;
    }
    return 0;
}

static int consume(struct layers *l, const struct workspace *w,
                   const struct survey *v, const struct purpose *p,
                   struct fault *f) {
    int result = publish(l, w, v, p, f);
    if (result == 0)
        workspace_leave(l, w); /* recycling it makes a new upper directory */
    else
        workspace_discard(l, w);
    return result;
}

static int consume_and_sync(struct layers *l, const struct workspace *w,
                            const struct purpose *p, struct fault *f) {
    struct survey v;
    if (workspace_survey(l, w, &v, f) < 0) {
        workspace_discard(l, w);
        return -1;
    }
    if (consume(l, w, &v, p, f) < 0)
        return -1;
    return store_sync(l->store, f);
}

int workspace_publish_unsynced(struct layers *l, const struct workspace *w,
                               const struct survey *v, int64_t parent,
                               struct image *i, struct fault *f) {
    const struct purpose p = {.parent = parent, .image = i};
    return publish(l, w, v, &p, f);
}

int workspace_publish_image(struct layers *l, const struct workspace *w,
                            int64_t parent, struct image *i, struct fault *f) {
    const struct purpose p = {.parent = parent, .image = i};
    return consume_and_sync(l, w, &p, f);
}

int workspace_publish_squashed(struct layers *l, const struct workspace *w,
                               const struct chain_layer *chain, size_t count,
                               struct fault *f) {
    const struct purpose p = {.chain = chain, .count = count};
    return consume_and_sync(l, w, &p, f);
}

/* ---- imports ---- */

/* Moves a layer to its place. Without a row it is not a layer yet. */
static int place_layer(struct layers *l, struct workspace_layer *w,
                       int64_t *entries, struct fault *f) {
    struct survey v;
    char path[32];
    int fd CLEANUP(cleanup_close) =
        openat(l->dir_fd, w->workspace.upper, OPEN_DIRECTORY);
    if (fd < 0)
        return fault_errno(f, "reading %s", w->workspace.upper);
    if (survey_tree(fd, &v, f) < 0 ||
        store_layer_reserve(l->store, &w->row.id, f) < 0)
        return -1;
    w->row.size = v.bytes;
    *entries += v.entries;
    layer_path(w->row.id, path);
    if (renameat(l->dir_fd, w->workspace.upper, l->dir_fd, path) == 0)
        return 0;
    fault_errno(f, "moving a layer to %s", path);
    w->row.id = 0;
    return -1;
}

static int sync_placed(struct layers *l, const struct workspace_layer *list,
                       size_t count, int64_t entries, struct fault *f) {
    struct syncing s = {.count = 0};
    int result = 0;
    if (entries > SYNC_EACH)
        result = syncfs(l->dir_fd);
    for (size_t n = 0; n < count && result == 0 && entries <= SYNC_EACH; n++) {
        char path[32];
        if (!list[n].row.id)
            continue;
        layer_path(list[n].row.id, path);
        int fd CLEANUP(cleanup_close) = openat(l->dir_fd, path, OPEN_DIRECTORY);
        result = fd < 0 ? -1 : sync_tree(&s, fd, entries);
    }
    if (sync_end(l, &s, result) == 0)
        return 0;
    return fault_errno(f, "syncing a layer");
}

static int place_all(struct layers *l, struct workspace_layer *list,
                     size_t count, struct fault *f) {
    int64_t entries = 0;
    for (size_t n = 0; n < count; n++) {
        list[n].row.id = 0;
        if (list[n].has_workspace && place_layer(l, &list[n], &entries, f) < 0)
            return -1;
    }
    return sync_placed(l, list, count, entries, f);
}

static int add_import(struct layers *l, struct workspace_layer *list,
                      size_t count, int64_t parent, const char *config,
                      struct image *i, struct fault *f) {
    struct imported_layer *rows CLEANUP(cleanup_free) =
        calloc(count + 1, sizeof *rows);
    if (!rows)
        return fault_memory(f);
    for (size_t n = 0; n < count; n++)
        rows[n] = list[n].row;
    if (store_import_add(l->store, parent, rows, count, config, i, f) < 0)
        return -1;
    for (size_t n = 0; n < count; n++)
        list[n].row = rows[n];
    return 0;
}

int workspaces_publish(struct layers *l, struct workspace_layer *list,
                       size_t count, int64_t parent, const char *config,
                       struct image *i, struct fault *f) {
    bool added = place_all(l, list, count, f) == 0 &&
                 add_import(l, list, count, parent, config, i, f) == 0;
    for (size_t n = 0; n < count; n++) {
        char path[32];
        layer_path(list[n].row.id, path);
        if (list[n].row.id && (!added || list[n].row.known))
            trash_move(l, path);
        if (list[n].has_workspace)
            workspace_discard(l, &list[n].workspace);
    }
    /* The rows are there, so the layers stay even when this fails. */
    return added ? store_sync(l->store, f) : -1;
}
