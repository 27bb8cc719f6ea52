/* tree.c: see tree.h. Depth costs only memory, no descriptors, stack or path
 * length: the walk keeps one directory open and goes up through "..", and the
 * deletion moves deep directories up. */
#define _GNU_SOURCE
#include "base/tree.h"
#include "base/buffer.h"
#include "base/descriptor.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define OPEN_DIRECTORY (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

static void cleanup_directory(DIR **d) {
    if (*d)
        closedir(*d);
}

/* Open a new stream over an open directory, at its beginning. */
static DIR *list(int dir) {
    int fd = openat(dir, ".", OPEN_DIRECTORY);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (fd >= 0 && !d)
        close_fd(fd);
    return d;
}

/* The next entry except "." and ".."; NULL at the end (errno 0) or on failure.
 */
static struct dirent *next_entry(DIR *d) {
    struct dirent *e;
    do {
        errno = 0;
        e = readdir(d);
    } while (e &&
             (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0));
    return e;
}

/* A directory on the way from the top to the current one. */
struct level {
    struct level *up;
    dev_t device;
    ino_t inode;
    struct buffer names; /* its directories, each with a NUL */
    size_t at, next;     /* the last one visited, and the one to visit */
};

static struct level *level_free(struct level *l) {
    struct level *up = l->up;
    buffer_free(&l->names);
    free(l);
    return up;
}

static void cleanup_levels(struct level **l) {
    while (*l)
        *l = level_free(*l);
}

/* Visit the entries of `dir` and add it to the way. */
static int enter(int dir, struct level **way, tree_visit *visit, void *arg) {
    DIR *d CLEANUP(cleanup_directory) = list(dir);
    struct level *l = calloc(1, sizeof *l);
    struct stat st;
    if (!d || !l || fstat(dir, &st) < 0) {
        free(l);
        return -1;
    }
    *l = (struct level){.up = *way, .device = st.st_dev, .inode = st.st_ino};
    buffer_init(&l->names, SIZE_MAX / 2);
    *way = l;
    struct dirent *e;
    while ((e = next_entry(d))) {
        if (fstatat(dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
            if (errno == ENOENT) /* it went meanwhile */
                continue;
            return -1;
        }
        if (visit(arg, dir, e->d_name, &st) < 0)
            return -1;
        if (S_ISDIR(st.st_mode) &&
            !buffer_add(&l->names, e->d_name, strlen(e->d_name) + 1)) {
            errno = ENOMEM;
            return -1;
        }
    }
    return errno ? -1 : 0;
}

static int change_directory(int *dir, const char *name) {
    int fd = openat(*dir, name, OPEN_DIRECTORY);
    if (fd < 0)
        return -1;
    close_fd(*dir);
    *dir = fd;
    return 0;
}

/* Go up to `l`. If the directory was moved, ".." leads elsewhere: check it. */
static int go_up(int *dir, const struct level *l) {
    struct stat st;
    if (change_directory(dir, "..") < 0 || fstat(*dir, &st) < 0)
        return -1;
    if (st.st_dev != l->device || st.st_ino != l->inode) {
        errno = ESTALE;
        return -1;
    }
    return 0;
}

int tree_walk(int top, tree_visit *visit, void *arg) {
    return tree_walk_out(top, visit, NULL, arg);
}

int tree_walk_out(int top, tree_visit *visit,
                  int (*leave)(void *arg, int dir, const char *name),
                  void *arg) {
    struct level *way CLEANUP(cleanup_levels) = NULL;
    int dir CLEANUP(cleanup_close) = openat(top, ".", OPEN_DIRECTORY);
    if (dir < 0 || enter(dir, &way, visit, arg) < 0)
        return -1;
    while (way) {
        if (way->next < way->names.length) {
            const char *name = way->names.data + way->next;
            way->at = way->next;
            way->next += strlen(name) + 1;
            if (change_directory(&dir, name) < 0 ||
                enter(dir, &way, visit, arg) < 0)
                return -1;
        } else {
            way = level_free(way);
            if (way && go_up(&dir, way) < 0)
                return -1;
            if (way && leave && leave(arg, dir, way->names.data + way->at) < 0)
                return -1;
        }
    }
    return 0;
}

/* Clear the immutable and append-only flags of an open file or directory. */
static void thaw(int fd) {
    int flags;
    if (ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0) {
        flags &= ~(FS_IMMUTABLE_FL | FS_APPEND_FL);
        if (ioctl(fd, FS_IOC_SETFLAGS, &flags) < 0)
            return;
    }
}

static int remove_entry(int dir, const char *name, bool directory) {
    int flags = directory ? AT_REMOVEDIR : 0;
    if (unlinkat(dir, name, flags) == 0)
        return 0;
    if (errno != EPERM && errno != EACCES)
        return -1;
    thaw(dir);
    int fd CLEANUP(cleanup_close) =
        openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0)
        thaw(fd);
    return unlinkat(dir, name, flags);
}

/* Move a directory that is not empty up into `top`, under a free name. */
static int move_up(int top, int dir, const char *name, uint64_t *number) {
    char to[32];
    for (;;) {
        snprintf(to, sizeof to, "sub-%llu", (unsigned long long)(*number)++);
        if (renameat(dir, name, top, to) == 0)
            return 0;
        if (errno != EEXIST && errno != ENOTEMPTY && errno != ENOTDIR)
            return -1;
    }
}

static bool is_directory(int dir, const struct dirent *e) {
    struct stat st;
    if (e->d_type != DT_UNKNOWN)
        return e->d_type == DT_DIR;
    return fstatat(dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISDIR(st.st_mode);
}

/* Empty the directory `name` of `top`. Entries that cannot be deleted stay. */
static int empty_directory(int top, const char *name, uint64_t *number) {
    int dir CLEANUP(cleanup_close) = openat(top, name, OPEN_DIRECTORY);
    DIR *d CLEANUP(cleanup_directory) = dir < 0 ? NULL : list(dir);
    if (!d)
        return -1;
    struct dirent *e;
    while ((e = next_entry(d))) {
        bool directory = is_directory(dir, e);
        if (remove_entry(dir, e->d_name, directory) < 0 && directory &&
            (errno == ENOTEMPTY || errno == EEXIST) &&
            move_up(top, dir, e->d_name, number) < 0) {
            thaw(dir);
            if (move_up(top, dir, e->d_name, number) < 0)
                return -1;
        }
    }
    return 0;
}

static int remove_tree_step(int top, const char *name, bool directory,
                            uint64_t *number) {
    if (remove_entry(top, name, directory) == 0)
        return 0;
    if (!directory || empty_directory(top, name, number) < 0)
        return -1;
    return remove_entry(top, name, true);
}

int tree_delete(int top) {
    uint64_t number = 0;
    int removed, stuck;
    DIR *d CLEANUP(cleanup_directory) = list(top);
    if (!d)
        return -1;
    /* Repeat as long as it helps: the directories that were moved up are next.
     */
    do {
        struct dirent *e;
        removed = stuck = 0;
        rewinddir(d);
        while ((e = next_entry(d))) {
            bool directory = is_directory(top, e);
            if (remove_tree_step(top, e->d_name, directory, &number) == 0)
                removed++;
            else
                stuck++;
        }
    } while (removed);
    return stuck;
}

int tree_delete_at(int dir, const char *name) {
    if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (unlinkat(dir, name, AT_REMOVEDIR) == 0)
        return 0;
    int top CLEANUP(cleanup_close) = openat(dir, name, OPEN_DIRECTORY);
    if (top < 0 || tree_delete(top) < 0)
        return -1;
    return unlinkat(dir, name, AT_REMOVEDIR);
}
