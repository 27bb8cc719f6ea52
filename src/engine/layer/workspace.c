/* workspace.c: see workspace.h. */
#define _GNU_SOURCE
#include "layer/workspace.h"
#include "base/descriptor.h"
#include "base/overlay.h"
#include "base/scope.h"
#include "layer/internal.h"
#include "layer/skeleton.h"
#include "layer/trash.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

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

/* Makes the directory of a workspace that did not exist. What an earlier engine
 * left may be there still, if it could not be moved to the trash: it holds the
 * files of another run. */
static int make_fresh(struct layers *l, struct workspace *out, char path[32]) {
    do {
        pthread_mutex_lock(&l->lock);
        int64_t number = l->next_workspace++;
        pthread_mutex_unlock(&l->lock);
        name_workspace(l, number, out);
        workspace_dir(out, path);
        if (mkdirat(l->dir_fd, path, 0700) == 0)
            return 0;
    } while (errno == EEXIST);
    return -1;
}

int workspace_take_for_import(struct layers *l, struct workspace *out,
                              struct fault *f) {
    char path[32];
    if (make_fresh(l, out, path) < 0)
        return fault_errno(f, "making a workspace");
    if (make_owned(l->dir_fd, path, 0700, l->id_base) == 0 &&
        make_owned(l->dir_fd, out->upper, ROOT_MODE, l->id_base) == 0 &&
        make_owned(l->dir_fd, out->work, 0700, l->id_base) == 0)
        return 0;
    fault_errno(f, "making a workspace");
    trash_move(l, path);
    return -1;
}

int workspace_take(struct layers *l, struct workspace *out, struct fault *f) {
    int64_t number = 0;
    pthread_mutex_lock(&l->lock);
    if (l->kept_count)
        number = l->kept[--l->kept_count];
    pthread_mutex_unlock(&l->lock);
    if (!number)
        return workspace_take_for_import(l, out, f);
    name_workspace(l, number, out);
    return 0;
}

/* The owner comes first: chown removes set-id bits. */
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

/* 1: the run set attributes; 0; -1 with errno. */
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

/* 1: there is an entry; 0; -1 with errno. A raw read, because readdir() would
 * allocate. */
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

/* 1: the run changed something; 0: nothing; -1 with errno. */
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

/* Keeps a workspace whose upper directory is new or unchanged. -1: no room. */
static int keep_workspace(struct layers *l, const struct workspace *w) {
    struct workspace fresh = *w;
    bool room;
    if (overlay_clean_work(l->dir_fd, w->work) < 0 ||
        set_root(l, &fresh, ROOT_MODE, l->id_base, l->id_base) < 0)
        return -1;
    pthread_mutex_lock(&l->lock);
    room = l->kept_count < KEPT;
    if (room)
        l->kept[l->kept_count++] = w->number;
    pthread_mutex_unlock(&l->lock);
    return room ? 0 : -1;
}

void workspace_discard(struct layers *l, const struct workspace *w) {
    char path[32];
    workspace_dir(w, path);
    trash_move(l, path);
}

void workspace_drop(struct layers *l, const struct workspace *w) {
    if (is_changed(l, w) != 0 || keep_workspace(l, w) < 0)
        workspace_discard(l, w);
}

/* ---- recycling ---- */

struct left_workspace {
    struct left_workspace *next;
    struct workspace workspace;
};

void workspace_leave(struct layers *l, const struct workspace *w) {
    struct left_workspace *left = malloc(sizeof *left);
    if (!left) {
        workspace_discard(l, w);
        return;
    }
    left->workspace = *w;
    pthread_mutex_lock(&l->lock);
    left->next = l->left;
    l->left = left;
    l->left_count++;
    pthread_mutex_unlock(&l->lock);
}

size_t workspaces_left(struct layers *l) {
    pthread_mutex_lock(&l->lock);
    size_t count = l->left_count;
    pthread_mutex_unlock(&l->lock);
    return count;
}

static struct left_workspace *take_left(struct layers *l) {
    pthread_mutex_lock(&l->lock);
    struct left_workspace *list = l->left;
    l->left = NULL;
    l->left_count = 0;
    pthread_mutex_unlock(&l->lock);
    return list;
}

/* Makes an upper directory if it has become a layer or goes to the trash. */
static int renew_upper(struct layers *l, struct workspace *w) {
    int changed = is_changed(l, w);
    if (changed == 0)
        return 0;
    if (changed < 0 && errno != ENOENT)
        return -1;
    if (changed > 0 && trash_move(l, w->upper) < 0)
        return -1;
    name_workspace(l, w->number, w);
    return make_owned(l->dir_fd, w->upper, ROOT_MODE, l->id_base);
}

void workspaces_recycle(struct layers *l) {
    struct left_workspace *left = take_left(l);
    while (left) {
        struct left_workspace *next = left->next;
        if (renew_upper(l, &left->workspace) < 0 ||
            keep_workspace(l, &left->workspace) < 0)
            workspace_discard(l, &left->workspace);
        free(left);
        left = next;
    }
}

void workspaces_forget(struct layers *l) {
    struct left_workspace *left = take_left(l);
    while (left) {
        struct left_workspace *next = left->next;
        free(left);
        left = next;
    }
}
