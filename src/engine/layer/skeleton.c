/* skeleton.c: see skeleton.h. */
#define _GNU_SOURCE
#include "layer/skeleton.h"
#include "base/descriptor.h"
#include "base/scope.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static const struct {
    const char *name;
    mode_t mode;
} skeleton[] = {{"dev", 0755}, {"etc", 0755}, {"proc", 0555}, {"root", 0700},
                {"run", 0755}, {"sys", 0555}, {"tmp", 01777}};

int make_owned(int dir, const char *name, mode_t mode, uid_t owner) {
    if (mkdirat(dir, name, 0700) < 0 && errno != EEXIST)
        return -1;
    if (fchownat(dir, name, owner, owner, AT_SYMLINK_NOFOLLOW) < 0)
        return -1;
    /* Whatever the umask is. */
    return fchmodat(dir, name, mode, 0);
}

static int fill_skeleton(int dir_fd, uid_t id_base, const char *path,
                         struct fault *f) {
    int fd CLEANUP(cleanup_close) =
        openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return fault_errno(f, "%s", path);
    for (size_t i = 0; i < sizeof skeleton / sizeof *skeleton; i++)
        if (make_owned(fd, skeleton[i].name, skeleton[i].mode, id_base) < 0)
            return fault_errno(f, "making %s/%s", path, skeleton[i].name);
    return 0;
}

/* It is made aside and moved into place, so that it is whole or missing. */
static int make_skeleton(int dir_fd, uid_t id_base, const char *path,
                         struct fault *f) {
    if (make_owned(dir_fd, "w/0", ROOT_MODE, id_base) < 0)
        return fault_errno(f, "making w/0");
    if (fill_skeleton(dir_fd, id_base, "w/0", f) < 0)
        return -1;
    if (renameat(dir_fd, "w/0", dir_fd, path) < 0)
        return fault_errno(f, "making %s", path);
    return 0;
}

/* Its owner is also the record of the first id in layers. */
static int prepare_skeleton(int dir_fd, uid_t id_base, const char *path,
                            struct fault *f) {
    struct stat st;
    if (fstatat(dir_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return make_skeleton(dir_fd, id_base, path, f);
    if (st.st_uid != id_base)
        return fault_set(f, 409,
                         "the data directory belongs to sandbox ids from %u "
                         "on, this engine has those from %u on: use another "
                         "data directory, or restore /etc/subuid",
                         st.st_uid, id_base);
    return fill_skeleton(dir_fd, id_base, path, f);
}

static int make_place(int dir_fd, uid_t id_base, const char *path,
                      struct fault *f) {
    int fd CLEANUP(cleanup_close) =
        openat(dir_fd, path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 || fchown(fd, id_base, id_base) < 0 || fchmod(fd, 0644) < 0)
        return fault_errno(f, "making %s", path);
    return 0;
}

int skeletons_prepare(int dir_fd, uid_t id_base, struct fault *f) {
    static const char *const places[] = {"l/places/etc/hosts",
                                         "l/places/etc/hostname",
                                         "l/places/etc/resolv.conf"};
    if (prepare_skeleton(dir_fd, id_base, "l/0", f) < 0 ||
        prepare_skeleton(dir_fd, id_base, "l/places", f) < 0)
        return -1;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (make_place(dir_fd, id_base, places[i], f) < 0)
            return -1;
    return 0;
}
