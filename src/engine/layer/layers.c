/* layers.c: see layers.h. */
#define _GNU_SOURCE
#include "layer/layers.h"
#include "base/clock.h"
#include "base/descriptor.h"
#include "base/log.h"
#include "base/overlay.h"
#include "base/scope.h"
#include "base/tree.h"
#include "layer/skeleton.h"
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#define OPEN_DIRECTORY (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
/* Recycled workspaces kept at hand. */
#define KEPT 64
/* Up to this many files and directories are synced one by one; more cost less
 * with one sync of the file system. */
#define SYNC_EACH 32

struct layers {
    struct store *store;
    int dir_fd, trash_fd;
    uid_t id_base;
    pthread_mutex_t lock; /* of the three below */
    int64_t next_workspace, next_trash;
    int64_t kept[KEPT];
    size_t kept_count;
    pthread_mutex_t trash_lock; /* one at a time deletes */
    atomic_bool trash_used;
};

static void acquire(struct layers *l) {
    pthread_mutex_lock(&l->lock);
}

static void release(struct layers *l) {
    pthread_mutex_unlock(&l->lock);
}

static int make_plain(int dir, const char *name, struct fault *f) {
    if (mkdirat(dir, name, 0700) < 0 && errno != EEXIST)
        return fault_errno(f, "making %s in the data directory", name);
    return 0;
}

/* Overlay wants attributes and refuses some file systems as upper directory:
 * better said here than at the first run. */
static int check_file_system(int dir_fd, struct fault *f) {
    struct statfs fs;
    if (fstatfs(dir_fd, &fs) < 0)
        return fault_errno(f, "the data directory");
    unsigned long type = (unsigned long)fs.f_type;
    if (type != OVERLAYFS_SUPER_MAGIC && type != NFS_SUPER_MAGIC &&
        type != ECRYPTFS_SUPER_MAGIC &&
        fsetxattr(dir_fd, "user.contree", "1", 1, 0) == 0)
        return 0;
    return fault_set(f, 500,
                     "the data directory is on a file system that cannot hold "
                     "layers (type 0x%lx): choose one on ext4, xfs, btrfs, or "
                     "tmpfs with Linux 6.6",
                     type);
}

static int to_trash(struct layers *l, const char *path) {
    char name[32];
    for (;;) {
        acquire(l);
        int64_t number = l->next_trash++;
        release(l);
        snprintf(name, sizeof name, "%lld", (long long)number);
        if (renameat(l->dir_fd, path, l->trash_fd, name) == 0) {
            l->trash_used = true;
            return 0;
        }
        if (errno != EEXIST && errno != ENOTEMPTY)
            break;
    }
    if (errno != ENOENT)
        log_line("cannot move %s to the trash: %s", path, strerror(errno));
    return -1;
}

/* Moves all entries of DIR/`name` for which keep() is false to the trash. */
static int sweep(struct layers *l, const char *name,
                 bool (*keep)(void *arg, const char *entry), void *arg,
                 struct fault *f) {
    int fd = openat(l->dir_fd, name, OPEN_DIRECTORY);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        fault_errno(f, "reading %s", name);
        drop_fd(&fd);
        return -1;
    }
    struct dirent *e;
    while ((e = readdir(d))) {
        char path[NAME_MAX + 16];
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
            keep(arg, e->d_name))
            continue;
        snprintf(path, sizeof path, "%s/%s", name, e->d_name);
        to_trash(l, path);
    }
    closedir(d);
    return 0;
}

static bool keep_nothing(void *arg, const char *entry) {
    (void)arg;
    (void)entry;
    return false;
}

/* The layers that have a row, ascending, and which of them were seen. */
struct known {
    int64_t *ids;
    bool *seen;
    size_t count;
};

static bool collect(void *arg, int64_t id) {
    struct known *k = arg;
    if ((k->count & (k->count - 1)) == 0) {
        size_t capacity = k->count ? k->count * 2 : 1;
        int64_t *ids = realloc(k->ids, capacity * sizeof *ids);
        if (!ids)
            return false;
        k->ids = ids;
    }
    k->ids[k->count++] = id;
    return true;
}

static int compare_ids(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static bool keep_known(void *arg, const char *entry) {
    struct known *k = arg;
    char path[32];
    int64_t id = strtoll(entry, NULL, 10);
    layer_path(id, path);
    if (strcmp(path + 2, entry) != 0) /* not a number as we write it */
        return strcmp(LAYER_PLACES + 2, entry) == 0;
    if (id == 0)
        return true;
    int64_t *found =
        k->count ? bsearch(&id, k->ids, k->count, sizeof id, compare_ids)
                 : NULL;
    if (found)
        k->seen[found - k->ids] = true;
    return found;
}

static void report_missing(const struct known *k) {
    size_t missing = 0;
    int64_t first = 0;
    for (size_t i = 0; i < k->count; i++)
        if (!k->seen[i] && !missing++)
            first = k->ids[i];
    if (missing)
        log_line("%zu layers are in the store but not on the disk, the first "
                 "is l/%lld: images made of them cannot run",
                 missing, (long long)first);
}

/* Nothing of a killed engine but whole layers stays. */
static int recover(struct layers *l, struct fault *f) {
    struct known k = {0};
    int result = store_layer_each(l->store, collect, &k, f);
    if (result == 0 && !(k.seen = calloc(k.count + 1, sizeof *k.seen)))
        result = fault_memory(f);
    if (result == 0)
        result = sweep(l, "l", keep_known, &k, f);
    if (result == 0)
        report_missing(&k);
    free(k.ids);
    free(k.seen);
    return result < 0 ? -1 : sweep(l, "w", keep_nothing, NULL, f);
}

static int prepare(struct layers *l, struct fault *f) {
    if (make_plain(l->dir_fd, "l", f) < 0 ||
        make_plain(l->dir_fd, "w", f) < 0 ||
        make_plain(l->dir_fd, "trash", f) < 0 ||
        check_file_system(l->dir_fd, f) < 0)
        return -1;
    l->trash_fd = openat(l->dir_fd, "trash", OPEN_DIRECTORY);
    if (l->trash_fd < 0)
        return fault_errno(f, "trash");
    if (skeletons_prepare(l->dir_fd, l->id_base, f) < 0 || recover(l, f) < 0)
        return -1;
    if (fsync(l->dir_fd) < 0)
        return fault_errno(f, "syncing the data directory");
    return 0;
}

struct layers *layers_open(int dir_fd, struct store *s, uid_t id_base,
                           struct fault *f) {
    struct layers *l = calloc(1, sizeof *l);
    if (!l) {
        fault_memory(f);
        return NULL;
    }
    pthread_mutex_init(&l->lock, NULL);
    pthread_mutex_init(&l->trash_lock, NULL);
    l->store = s;
    l->dir_fd = dir_fd;
    l->trash_fd = -1;
    l->id_base = id_base;
    l->next_workspace = 1;
    /* What an earlier engine left in the trash has smaller names. */
    l->next_trash = wall_microseconds();
    l->trash_used = true;
    if (prepare(l, f) < 0) {
        layers_close(l);
        return NULL;
    }
    return l;
}

void layers_close(struct layers *l) {
    if (!l)
        return;
    drop_fd(&l->trash_fd);
    pthread_mutex_destroy(&l->trash_lock);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

int layers_directory(const struct layers *l) {
    return l->dir_fd;
}

static void name_workspace(struct layers *l, int64_t number,
                           struct workspace *out) {
    *out = (struct workspace){.number = number,
                              .mode = ROOT_MODE,
                              .uid = l->id_base,
                              .gid = l->id_base};
    snprintf(out->upper, sizeof out->upper, "w/%lld/u", (long long)number);
    snprintf(out->work, sizeof out->work, "w/%lld/w", (long long)number);
}

static void workspace_dir(const struct workspace *w, char out[32]) {
    snprintf(out, 32, "w/%lld", (long long)w->number);
}

int workspace_take_for_import(struct layers *l, struct workspace *out,
                              struct fault *f) {
    char path[32];
    acquire(l);
    int64_t number = l->next_workspace++;
    release(l);
    name_workspace(l, number, out);
    workspace_dir(out, path);
    if (make_owned(l->dir_fd, path, 0700, l->id_base) == 0 &&
        make_owned(l->dir_fd, out->upper, ROOT_MODE, l->id_base) == 0 &&
        make_owned(l->dir_fd, out->work, 0700, l->id_base) == 0)
        return 0;
    fault_errno(f, "making a workspace");
    to_trash(l, path);
    return -1;
}

int workspace_take(struct layers *l, struct workspace *out, struct fault *f) {
    int64_t number = 0;
    acquire(l);
    if (l->kept_count)
        number = l->kept[--l->kept_count];
    release(l);
    if (!number)
        return workspace_take_for_import(l, out, f);
    name_workspace(l, number, out);
    return 0;
}

/* Owner first: chown takes set-id bits away. */
static int set_root(struct layers *l, struct workspace *w, mode_t mode,
                    uid_t uid, gid_t gid) {
    if (w->mode == mode && w->uid == uid && w->gid == gid)
        return 0;
    if (fchownat(l->dir_fd, w->upper, uid, gid, AT_SYMLINK_NOFOLLOW) < 0 ||
        fchmodat(l->dir_fd, w->upper, mode, 0) < 0)
        return -1;
    w->mode = mode;
    w->uid = uid;
    w->gid = gid;
    return 0;
}

int workspace_inherit_root(struct layers *l, struct workspace *w,
                           int64_t parent, struct fault *f) {
    char path[32];
    struct stat st;
    layer_path(parent, path);
    if (fstatat(l->dir_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return fault_errno(f, "layer %s", path);
    if (set_root(l, w, st.st_mode & 07777, st.st_uid, st.st_gid) < 0)
        return fault_errno(f, "setting the root directory's mode");
    return 0;
}

/* 1: there are attributes that somebody set. */
static int has_attributes(int fd) {
    char names[1024];
    ssize_t length = flistxattr(fd, names, sizeof names);
    if (length < 0)
        return errno == ERANGE ? 1 : -1;
    for (char *name = names; name < names + length; name += strlen(name) + 1)
        if (!overlay_owns_attribute(name))
            return 1;
    return 0;
}

/* 1: there is an entry. A raw read, because readdir() would allocate. */
static int has_entries(int fd) {
    char data[512] __attribute__((aligned(8)));
    for (;;) {
        long length = syscall(SYS_getdents64, fd, data, sizeof data);
        if (length <= 0)
            return (int)length;
        for (long at = 0; at < length;) {
            struct dirent64 *e = (struct dirent64 *)(data + at);
            if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
                return 1;
            at += e->d_reclen;
        }
    }
}

/* 1: the run changed something, 0: nothing, -1 with errno. */
static int is_changed(struct layers *l, const struct workspace *w) {
    struct stat st;
    int fd CLEANUP(cleanup_close) = openat(l->dir_fd, w->upper, OPEN_DIRECTORY);
    if (fd < 0 || fstat(fd, &st) < 0)
        return -1;
    if ((st.st_mode & 07777) != w->mode || st.st_uid != w->uid ||
        st.st_gid != w->gid)
        return 1;
    int found = has_entries(fd);
    return found ? found : has_attributes(fd);
}

int workspace_is_empty(struct layers *l, const struct workspace *w, bool *empty,
                       struct fault *f) {
    int changed = is_changed(l, w);
    if (changed < 0)
        return fault_errno(f, "reading %s", w->upper);
    *empty = !changed;
    return 0;
}

struct linked {
    ino_t inode;
    int64_t bytes;
};

/* What a tree contains. Files with several names are summed at the end. */
struct survey {
    int64_t bytes, entries;
    struct linked *linked;
    size_t linked_count, linked_capacity;
};

static int64_t file_bytes(const struct stat *st) {
    int64_t allocated = (int64_t)st->st_blocks * 512;
    /* A small file may live in its inode and allocate nothing. */
    return st->st_size <= 4096 || st->st_size < allocated ? st->st_size
                                                          : allocated;
}

static int survey_linked(struct survey *v, const struct stat *st) {
    if (v->linked_count == v->linked_capacity) {
        size_t capacity = v->linked_capacity ? v->linked_capacity * 2 : 64;
        struct linked *more = realloc(v->linked, capacity * sizeof *more);
        if (!more)
            return -1;
        v->linked = more;
        v->linked_capacity = capacity;
    }
    v->linked[v->linked_count++] =
        (struct linked){.inode = st->st_ino, .bytes = file_bytes(st)};
    return 0;
}

static int survey_entry(void *arg, int dir, const char *name,
                        const struct stat *st) {
    struct survey *v = arg;
    (void)dir;
    (void)name;
    v->entries++;
    if (!S_ISREG(st->st_mode))
        return 0;
    if (st->st_nlink > 1)
        return survey_linked(v, st);
    v->bytes += file_bytes(st);
    return 0;
}

static int compare_linked(const void *a, const void *b) {
    const struct linked *x = a, *y = b;
    return (x->inode > y->inode) - (x->inode < y->inode);
}

static int survey_tree(int fd, struct survey *v, struct fault *f) {
    *v = (struct survey){0};
    int result = tree_walk(fd, survey_entry, v);
    if (result < 0)
        fault_errno(f, "reading the layer");
    if (v->linked_count)
        qsort(v->linked, v->linked_count, sizeof *v->linked, compare_linked);
    for (size_t i = 0; i < v->linked_count; i++)
        if (i == 0 || v->linked[i].inode != v->linked[i - 1].inode)
            v->bytes += v->linked[i].bytes;
    free(v->linked);
    v->linked = NULL;
    return result;
}

int workspace_size(struct layers *l, const struct workspace *w, int64_t *bytes,
                   int64_t *entries, struct fault *f) {
    struct survey v;
    int fd CLEANUP(cleanup_close) = openat(l->dir_fd, w->upper, OPEN_DIRECTORY);
    if (fd < 0)
        return fault_errno(f, "reading %s", w->upper);
    if (survey_tree(fd, &v, f) < 0)
        return -1;
    *bytes = v.bytes;
    *entries = v.entries;
    return 0;
}

/* Opens what can be synced; links and special files are part of their
 * directory. */
static int open_entry(int dir, const char *name, const struct stat *st) {
    if (!S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode))
        return -1;
    return openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
}

/* Starts writing, so that the syncs that follow find their blocks allocated and
 * share one commit of the journal. */
static int start_writing(void *arg, int dir, const char *name,
                         const struct stat *st) {
    (void)arg;
    if (!S_ISREG(st->st_mode))
        return 0;
    int fd CLEANUP(cleanup_close) = open_entry(dir, name, st);
    return fd < 0 ? -1 : sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
}

static int sync_entry(void *arg, int dir, const char *name,
                      const struct stat *st) {
    (void)arg;
    if (!S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode))
        return 0;
    int fd CLEANUP(cleanup_close) = open_entry(dir, name, st);
    return fd < 0 ? -1 : fsync(fd);
}

static int sync_tree(int fd, int64_t entries) {
    if (entries > SYNC_EACH)
        return syncfs(fd);
    if (entries > 1 && tree_walk(fd, start_writing, NULL) < 0)
        return -1;
    if (tree_walk(fd, sync_entry, NULL) < 0)
        return -1;
    return fsync(fd);
}

/* Puts a workspace whose upper directory is new or unchanged on the shelf. */
static int keep_workspace(struct layers *l, const struct workspace *w) {
    struct workspace fresh = *w;
    bool room;
    if (overlay_clean_work(l->dir_fd, w->work) < 0 ||
        set_root(l, &fresh, ROOT_MODE, l->id_base, l->id_base) < 0)
        return -1;
    acquire(l);
    room = l->kept_count < KEPT;
    if (room)
        l->kept[l->kept_count++] = w->number;
    release(l);
    return room ? 0 : -1;
}

static void discard_workspace(struct layers *l, const struct workspace *w) {
    char path[32];
    workspace_dir(w, path);
    to_trash(l, path);
}

void workspace_drop(struct layers *l, const struct workspace *w) {
    if (is_changed(l, w) != 0 || keep_workspace(l, w) < 0)
        discard_workspace(l, w);
}

/* Gives a workspace that lost its upper directory a new one. */
static void renew_workspace(struct layers *l, const struct workspace *w) {
    struct workspace fresh;
    name_workspace(l, w->number, &fresh);
    if (make_owned(l->dir_fd, fresh.upper, ROOT_MODE, l->id_base) < 0 ||
        keep_workspace(l, &fresh) < 0)
        discard_workspace(l, &fresh);
}

/* Moves the upper directory to its place among the layers and syncs it there:
 * the sync of the files carries the move along, and without a row it is no
 * layer yet. */
static int move_and_sync(struct layers *l, int fd, const char *from,
                         const char *to, int64_t entries, struct fault *f) {
    if (renameat(l->dir_fd, from, l->dir_fd, to) < 0)
        return fault_errno(f, "moving a layer to %s", to);
    int parent CLEANUP(cleanup_close) = openat(l->dir_fd, "l", OPEN_DIRECTORY);
    if (parent >= 0 && sync_tree(fd, entries) == 0 && fsync(parent) == 0)
        return 0;
    return fault_errno(f, "syncing a layer");
}

/* What a layer is for: on top of `parent`, for an image that may be NULL, or
 * instead of the first layers of a chain. */
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
    if (!i)
        return store_layer_add(l->store, id, p->parent, bytes, f);
    i->layer = id;
    i->size = bytes;
    return store_snapshot_add(l->store, id, p->parent, bytes, i, f);
}

static int publish(struct layers *l, const struct workspace *w,
                   const struct purpose *p, int64_t *id, int64_t *bytes,
                   struct fault *f) {
    struct survey v;
    char path[32];
    int fd CLEANUP(cleanup_close) = openat(l->dir_fd, w->upper, OPEN_DIRECTORY);
    if (fd < 0)
        return fault_errno(f, "reading %s", w->upper);
    if (survey_tree(fd, &v, f) < 0 || store_layer_reserve(l->store, id, f) < 0)
        return -1;
    layer_path(*id, path);
    if (move_and_sync(l, fd, w->upper, path, v.entries, f) < 0 ||
        add_rows(l, *id, v.bytes, p, f) < 0) {
        to_trash(l, path);
        return -1;
    }
    *bytes = v.bytes;
    return 0;
}

static int consume(struct layers *l, const struct workspace *w,
                   const struct purpose *p, int64_t *id, int64_t *bytes,
                   struct fault *f) {
    int result = publish(l, w, p, id, bytes, f);
    if (result == 0)
        renew_workspace(l, w);
    else
        discard_workspace(l, w);
    return result;
}

int workspace_publish(struct layers *l, const struct workspace *w,
                      int64_t parent, int64_t *layer, int64_t *bytes,
                      struct fault *f) {
    const struct purpose p = {.parent = parent};
    int64_t unused;
    if (consume(l, w, &p, layer, bytes ? bytes : &unused, f) < 0)
        return -1;
    /* The rows are there, so the layer stays even when this fails. */
    return store_sync(l->store, f);
}

int workspace_publish_unsynced(struct layers *l, const struct workspace *w,
                               int64_t parent, struct image *i,
                               struct fault *f) {
    const struct purpose p = {.parent = parent, .image = i};
    int64_t id, bytes;
    return consume(l, w, &p, &id, &bytes, f);
}

int workspace_publish_image(struct layers *l, const struct workspace *w,
                            int64_t parent, struct image *i, struct fault *f) {
    if (workspace_publish_unsynced(l, w, parent, i, f) < 0)
        return -1;
    return store_sync(l->store, f);
}

int workspace_publish_squashed(struct layers *l, const struct workspace *w,
                               const struct chain_layer *chain, size_t count,
                               struct fault *f) {
    const struct purpose p = {.chain = chain, .count = count};
    int64_t id, bytes;
    if (consume(l, w, &p, &id, &bytes, f) < 0)
        return -1;
    return store_sync(l->store, f);
}

/* ---- imports ---- */

/* Moves a layer to its place. Without a row it is no layer yet. */
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
    int parent CLEANUP(cleanup_close) = openat(l->dir_fd, "l", OPEN_DIRECTORY);
    int result = parent < 0 ? -1 : 0;
    if (result == 0 && entries > SYNC_EACH)
        result = syncfs(parent);
    for (size_t n = 0; n < count && result == 0 && entries <= SYNC_EACH; n++) {
        char path[32];
        if (!list[n].row.id)
            continue;
        layer_path(list[n].row.id, path);
        int fd CLEANUP(cleanup_close) = openat(l->dir_fd, path, OPEN_DIRECTORY);
        result = fd < 0 ? -1 : sync_tree(fd, entries);
    }
    if (result == 0 && fsync(parent) == 0)
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
            to_trash(l, path);
        if (list[n].has_workspace)
            discard_workspace(l, &list[n].workspace);
    }
    /* The rows are there, so the layers stay even when this fails. */
    return added ? store_sync(l->store, f) : -1;
}

bool layer_discard(struct layers *l, const char *path) {
    return to_trash(l, path) == 0;
}

void trash_empty(struct layers *l) {
    pthread_mutex_lock(&l->trash_lock);
    l->trash_used = false;
    int stuck = tree_delete(l->trash_fd);
    if (stuck)
        log_line("%s of the trash cannot be deleted",
                 stuck < 0 ? "the entries" : "some entries");
    pthread_mutex_unlock(&l->trash_lock);
}

bool trash_is_empty(struct layers *l) {
    return !l->trash_used;
}
