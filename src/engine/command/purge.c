/* purge.c: see purge.h. */
#define _GNU_SOURCE
#include "command/purge.h"
#include "base/descriptor.h"
#include "base/scope.h"
#include "base/tree.h"
#include "sandbox/userns.h"
#include "store/store.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* The database goes first: if the purge is killed, no database is left whose
 * images have no layers. */
static const char *const contents[] = {"contree.db",
                                       "contree.db-wal",
                                       "contree.db-shm",
                                       "contree.db-ended",
                                       "l",
                                       "w",
                                       "v",
                                       "trash",
                                       "b",
                                       "e",
                                       "gc"};
enum { CONTENTS = sizeof contents / sizeof *contents };

/* Open the directory, if an engine made it: not a home directory by a slip. */
static int open_directory(const char *path, struct fault *f) {
    struct stat st;
    int fd CLEANUP(cleanup_close) =
        open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return fault_set(f, 404, "there is no data directory %s", path);
    if (fstatat(fd, "lock", &st, AT_SYMLINK_NOFOLLOW) < 0 ||
        !S_ISREG(st.st_mode) ||
        fstatat(fd, "l", &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))
        return fault_set(f, 404, "%s is no data directory of contree-engine",
                         path);
    return steal_fd(&fd);
}

static int remove_contents(int fd, const char *path, struct fault *f) {
    for (int i = 0; i < CONTENTS; i++)
        if (tree_delete_at(fd, contents[i]) < 0)
            return fault_errno(f, "cannot remove %s/%s", path, contents[i]);
    if (unlinkat(fd, "lock", 0) < 0)
        return fault_errno(f, "cannot remove %s/lock", path);
    if (rmdir(path) == 0)
        return 0;
    if (errno == ENOTEMPTY || errno == EEXIST)
        return fault_set(
            f, 409, "%s holds something else, too: all but that is gone", path);
    return fault_errno(f, "everything is removed except %s itself", path);
}

int purge_command(const struct options *o, struct fault *f) {
    const char *path = o->data_dir;
    struct id_range ids;
    if (userns_enter(&ids, f) < 0)
        return -1;
    int fd CLEANUP(cleanup_close) = open_directory(path, f);
    int lock CLEANUP(cleanup_close) = fd < 0 ? -1 : store_lock(fd, path, f);
    if (lock < 0)
        return -1;
    if (!o->yes)
        return fault_set(
            f, 400,
            "this removes all images, uploads and volumes in %s for "
            "good: "
            "say --yes if you mean it",
            path);
    return remove_contents(fd, path, f);
}
