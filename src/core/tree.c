#define _GNU_SOURCE /* nftw, asprintf */
#include "tree.h"
#include "clock.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ATTEMPTS = 100 }; /* to find a name that is free */

#define OPEN_DIRECTORY (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

/* What a directory gets when nothing more will be made in it. */
struct tree_directory {
    struct tree_directory *next;
    mode_t mode;
    struct timespec mtime;
    char name[];
};

static void close_fd(int *fd) {
    int error = errno;
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    errno = error;
}

bool tree_begin(struct tree *tree, const char *to) {
    size_t length = strlen(to);
    *tree = (struct tree){.root = -1, .parent = -1};
    while (length > 1 && to[length - 1] == '/')
        length--;
    for (unsigned i = 0; i < ATTEMPTS; i++) {
        long long number = (long long)(clock_now() * 1e6) + i;
        if (asprintf(&tree->path, "%.*s.%d-%llx", (int)length, to,
                     (int)getpid(), number) < 0) {
            tree->path = NULL;
            errno = ENOMEM;
            return false;
        }
        if (mkdir(tree->path, 0777) == 0) {
            tree->root = open(tree->path, OPEN_DIRECTORY);
            return tree->root >= 0;
        }
        free(tree->path);
        tree->path = NULL;
        if (errno != EEXIST)
            return false;
    }
    return false;
}

/* ---- names ---- */

/* The next part of a path, copied to `part`: its length, 0 at the end, -1 with
 * errno set. *path moves behind it. */
static int next_part(const char **path, char part[NAME_MAX + 1]) {
    size_t length;
    do {
        *path += strspn(*path, "/");
        length = strcspn(*path, "/");
        if (length > NAME_MAX) {
            errno = ENAMETOOLONG;
            return -1;
        }
        memcpy(part, *path, length);
        part[length] = '\0';
        *path += length;
    } while (strcmp(part, ".") == 0);
    if (strcmp(part, "..") == 0) {
        errno = EINVAL;
        return -1;
    }
    return (int)length;
}

/* Replaces the open directory `*at` by its entry `name`, which is made if
 * need be. */
static bool descend(int *at, const char *name) {
    int next = openat(*at, name, OPEN_DIRECTORY);
    if (next < 0 && errno == ENOENT) {
        if (mkdirat(*at, name, 0777) < 0)
            return false;
        next = openat(*at, name, OPEN_DIRECTORY);
    }
    if (next < 0)
        return false;
    close_fd(at);
    *at = next;
    return true;
}

/* Opens the directory of a path, and copies the last part of the path. -1 with
 * errno set. */
static int open_parent(const struct tree *tree, const char *path,
                       char name[NAME_MAX + 1]) {
    char part[NAME_MAX + 1];
    int at = fcntl(tree->root, F_DUPFD_CLOEXEC, 0);
    int length = at < 0 ? -1 : next_part(&path, name);
    if (length == 0)
        errno = EINVAL;
    while (length > 0) {
        length = next_part(&path, part);
        if (length == 0)
            return at;
        if (length < 0 || !descend(&at, name))
            break;
        memcpy(name, part, sizeof part);
    }
    close_fd(&at);
    return -1;
}

/* The directory of an entry, which stays the tree's: most entries share it with
 * the one before. */
static int parent_of(struct tree *tree, const char *path,
                     char name[NAME_MAX + 1]) {
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) : 0;
    if (tree->parent >= 0 && strlen(tree->parent_at) == length &&
        memcmp(tree->parent_at, path, length) == 0) {
        const char *last = slash ? slash + 1 : path;
        int found = next_part(&last, name);
        if (found == 0)
            errno = EINVAL;
        return found > 0 ? tree->parent : -1;
    }
    close_fd(&tree->parent);
    free(tree->parent_at);
    tree->parent_at = strndup(path, length);
    if (tree->parent_at)
        tree->parent = open_parent(tree, path, name);
    return tree->parent;
}

/* ---- entries ---- */

int tree_file(struct tree *tree, const struct tree_entry *entry) {
    char name[NAME_MAX + 1];
    int parent = parent_of(tree, entry->name, name);
    return parent < 0
               ? -1
               : openat(parent, name,
                        O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                        entry->mode & 0777);
}

/* Notes what a directory is to get. The umask had its say when it was made. */
static bool note(struct tree *tree, int parent, const char *name,
                 const struct tree_entry *entry) {
    struct stat st;
    size_t size = strlen(entry->name) + 1;
    struct tree_directory *d = malloc(sizeof *d + size);
    if (!d || fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        free(d);
        return false;
    }
    *d = (struct tree_directory){.next = tree->directories,
                                 .mode = st.st_mode & 0777 & entry->mode,
                                 .mtime = entry->mtime};
    memcpy(d->name, entry->name, size);
    tree->directories = d;
    return true;
}

bool tree_directory(struct tree *tree, const struct tree_entry *entry) {
    char name[NAME_MAX + 1];
    const char *rest = entry->name;
    int length = next_part(&rest, name);
    if (length == 0)
        return note(tree, tree->root, ".", entry);
    int parent = length < 0 ? -1 : parent_of(tree, entry->name, name);
    if (parent < 0 || (mkdirat(parent, name, (entry->mode & 0777) | 0700) < 0 &&
                       errno != EEXIST))
        return false;
    return note(tree, parent, name, entry);
}

static bool set_time(int parent, const char *name,
                     const struct tree_entry *entry) {
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, entry->mtime};
    return utimensat(parent, name, times, AT_SYMLINK_NOFOLLOW) == 0;
}

bool tree_link(struct tree *tree, const struct tree_entry *entry,
               const char *target) {
    char name[NAME_MAX + 1];
    int parent = parent_of(tree, entry->name, name);
    return parent >= 0 && symlinkat(target, parent, name) == 0 &&
           set_time(parent, name, entry);
}

bool tree_same(struct tree *tree, const struct tree_entry *entry,
               const char *target) {
    char name[NAME_MAX + 1], other[NAME_MAX + 1];
    int parent = parent_of(tree, entry->name, name);
    int from = parent < 0 ? -1 : open_parent(tree, target, other);
    bool done = from >= 0 && linkat(from, other, parent, name, 0) == 0;
    close_fd(&from);
    return done;
}

/* ---- the end ---- */

static bool settle(struct tree *tree, const struct tree_directory *d) {
    char name[NAME_MAX + 1];
    const char *rest = d->name;
    bool top = next_part(&rest, name) == 0;
    int parent = top ? -1 : open_parent(tree, d->name, name);
    int fd =
        openat(top ? tree->root : parent, top ? "." : name, OPEN_DIRECTORY);
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, d->mtime};
    bool done = fd >= 0 && futimens(fd, times) == 0 && fchmod(fd, d->mode) == 0;
    close_fd(&fd);
    close_fd(&parent);
    return done;
}

int tree_settle(struct tree *tree, double seconds) {
    double limit = clock_now() + seconds;
    while (tree->directories) {
        struct tree_directory *d = tree->directories;
        if (!settle(tree, d))
            return -1;
        tree->directories = d->next;
        free(d);
        if (clock_now() >= limit)
            return 0;
    }
    return 1;
}

bool tree_finish(struct tree *tree, const char *to) {
    if (rename(tree->path, to) < 0)
        return false;
    free(tree->path);
    tree->path = NULL;
    return true;
}

static int remove_one(const char *path, const struct stat *st, int type,
                      struct FTW *where) {
    (void)st;
    (void)type;
    (void)where;
    remove(path);
    return 0;
}

void tree_end(struct tree *tree) {
    if (tree->path)
        nftw(tree->path, remove_one, 64, FTW_DEPTH | FTW_PHYS);
    free(tree->path);
    tree->path = NULL;
    close_fd(&tree->root);
    close_fd(&tree->parent);
    free(tree->parent_at);
    tree->parent_at = NULL;
    while (tree->directories) {
        struct tree_directory *d = tree->directories;
        tree->directories = d->next;
        free(d);
    }
}
