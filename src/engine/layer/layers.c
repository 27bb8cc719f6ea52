/* layers.c: see layers.h. */
#define _GNU_SOURCE
#include "layer/layers.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/descriptor.h"
#include "base/log.h"
#include "base/overlay.h"
#include "base/scope.h"
#include "layer/internal.h"
#include "layer/skeleton.h"
#include "layer/trash.h"
#include "layer/workspace.h"
#include "view/view.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

static int make_plain(int dir, const char *name, struct fault *f) {
    if (mkdirat(dir, name, 0700) < 0 && errno != EEXIST)
        return fault_errno(f, "making %s in the data directory", name);
    return 0;
}

/* Overlay needs attributes and refuses some file systems as upper directory.
 * Fail here, not at the first run. */
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

/* Moves the entries of directory `name` for which keep() is false to the
 * trash. */
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
    while ((errno = 0, e = readdir(d))) {
        char path[NAME_MAX + 16];
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
            keep(arg, e->d_name))
            continue;
        snprintf(path, sizeof path, "%s/%s", name, e->d_name);
        trash_move(l, path);
    }
    int result = errno ? fault_errno(f, "reading %s", name) : 0;
    closedir(d);
    return result;
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
    if (strcmp(path + 2, entry) != 0) /* not the name of a layer */
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

/* The directories of all volumes, one after the other, each with a NUL. */
static bool collect_volume(void *arg, const struct stored_volume *v) {
    return buffer_add(arg, v->directory, strlen(v->directory) + 1);
}

static bool keep_volume(void *arg, const char *entry) {
    const struct buffer *known = arg;
    return known->length > 0 &&
           memmem(known->data, known->length, entry, strlen(entry) + 1) != NULL;
}

/* All names have one length, so none is the end of another. */
static int recover_volumes(struct layers *l, struct fault *f) {
    struct buffer known;
    buffer_init(&known, SIZE_MAX / 2);
    int result = store_volume_list(l->store, collect_volume, &known, f);
    if (result == 0 && known.failed)
        result = fault_memory(f);
    if (result == 0)
        result = sweep(l, "v", keep_volume, &known, f);
    buffer_free(&known);
    return result;
}

/* Removes what a killed engine left, except whole layers and volumes. */
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
    return result < 0 || recover_volumes(l, f) < 0
               ? -1
               : sweep(l, "w", keep_nothing, NULL, f);
}

static int prepare(struct layers *l, struct fault *f) {
    if (make_plain(l->dir_fd, "l", f) < 0 ||
        make_plain(l->dir_fd, "w", f) < 0 ||
        make_plain(l->dir_fd, "v", f) < 0 ||
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
    /* Greater than the names that an earlier engine left in the trash. */
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
    workspaces_forget(l);
    drop_fd(&l->trash_fd);
    pthread_mutex_destroy(&l->trash_lock);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

int layers_directory(const struct layers *l) {
    return l->dir_fd;
}

struct view *layers_view(int dir_fd, struct store *s, int64_t layer,
                         struct id_range ids, struct fault *f) {
    int64_t *chain CLEANUP(cleanup_free) = NULL;
    size_t count = 0;
    if (layer && store_layer_chain(s, layer, &chain, &count, f) < 0)
        return NULL;
    return view_open(dir_fd, chain, count, ids, f);
}
