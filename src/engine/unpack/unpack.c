/* unpack.c: see unpack.h. The archive is hostile: it may name any path in any
 * order, replace what it made, lie about sizes and never end. */
#define _GNU_SOURCE
#include "unpack/unpack.h"
#include "base/descriptor.h"
#include "base/fd.h"
#include "base/scope.h"
#include "unpack/filler.h"
#include "unpack/hardlink.h"
#include "unpack/hide.h"
#include "unpack/implied.h"
#include "unpack/input.h"
#include "unpack/metadata.h"
#include "unpack/place.h"
#include "unpack/root.h"
#include "unpack/state.h"
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct dir_time {
    struct timespec mtime;
    size_t length; /* of the place that follows, with its NUL */
};

/* Normalises a name: it becomes relative to the root, without empty and "."
 * parts. The root is "". */
static int clean_name(struct unpack *u, const char *raw, char out[PATH_MAX]) {
    size_t used = strlen(u->at);
    if (!raw || !*raw)
        return unpack_refuse(u, "", "is no name for an entry");
    memcpy(out, u->at, used);
    for (const char *p = raw; *p;) {
        size_t length = strcspn(p, "/");
        bool dot = length == 1 && p[0] == '.';
        if (length == 2 && p[0] == '.' && p[1] == '.')
            return unpack_refuse(u, raw, "leads out of its directory");
        if (length > NAME_MAX || used + length + 2 > PATH_MAX)
            return unpack_refuse(u, raw, "has too long a name");
        if (length && !dot) {
            if (used)
                out[used++] = '/';
            memcpy(out + used, p, length);
            used += length;
        }
        p += length + (p[length] == '/');
    }
    out[used] = 0;
    return 0;
}

static int remember_time(struct unpack *u, const char *path,
                         struct archive_entry *e) {
    struct timespec times[2];
    entry_times(e, times);
    struct dir_time d = {.mtime = times[1], .length = strlen(path) + 1};
    /* Directories beyond the buffer's maximum keep the time of unpacking. */
    if (!u->times.failed && buffer_add(&u->times, &d, sizeof d))
        buffer_add(&u->times, path, d.length);
    return 0;
}

static int set_directory_times(struct unpack *u) {
    size_t at = 0;
    while (at + sizeof(struct dir_time) <= u->times.length) {
        struct dir_time d;
        memcpy(&d, u->times.data + at, sizeof d);
        at += sizeof d;
        int fd CLEANUP(cleanup_close) =
            root_open(u, u->times.data + at, O_RDONLY | O_DIRECTORY);
        struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, d.mtime};
        at += d.length;
        /* A directory may have been replaced since. */
        if (fd >= 0 && futimens(fd, times) < 0)
            return fault_errno(u->f, "setting a time");
    }
    return 0;
}

static int unpack_root(struct unpack *u, struct archive_entry *e) {
    if (archive_entry_hardlink(e) || archive_entry_filetype(e) != AE_IFDIR)
        return unpack_refuse(u, "/", "must be a directory");
    if (set_metadata(u, u->root, "/", e) < 0)
        return -1;
    return remember_time(u, "", e);
}

/* The directory that all names are relative to. It is described, not replaced:
 * a link that leads to it stays. */
static int unpack_top(struct unpack *u, struct archive_entry *e) {
    char path[PATH_MAX];
    const char *name;
    if (!*u->at)
        return unpack_root(u, e);
    if (archive_entry_hardlink(e) || archive_entry_filetype(e) != AE_IFDIR)
        return unpack_refuse(u, u->at, "must be a directory");
    snprintf(path, sizeof path, "%s", u->at);
    if (path_append(u, path, ".") < 0)
        return -1;
    int fd = place_parent(u, path, &name);
    if (fd < 0)
        return -1;
    if (u->implied_count)
        implied_clear(fd);
    if (set_metadata(u, fd, u->at, e) < 0)
        return -1;
    return remember_time(u, u->parent_place, e);
}

static int unpack_directory(struct unpack *u, int parent, const char *name,
                            const char *path, struct archive_entry *e) {
    char place[PATH_MAX];
    if (place_of(u, name, place) < 0 ||
        root_make_directory(u, parent, name) < 0)
        return -1;
    int fd CLEANUP(cleanup_close) =
        openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return unpack_failed(u, "opening", path);
    if (u->implied_count)
        implied_clear(fd);
    if (set_metadata(u, fd, path, e) < 0)
        return -1;
    return remember_time(u, place, e);
}

/* What the filler could not do. */
static int tell_failure(struct unpack *u) {
    const struct filler_failure *failure = filler_failure(u->o->filler);
    errno = failure->error;
    return unpack_failed(u, "writing", failure->name);
}

static int settle(struct unpack *u) {
    return u->o->filler && filler_wait(u->o->filler) < 0 ? tell_failure(u) : 0;
}

static int write_part(struct unpack *u, int fd, const char *path,
                      struct filler *filler, const void *data, size_t length,
                      int64_t offset) {
    if (filler && filler_has_failed(filler))
        return tell_failure(u);
    if (filler)
        filler_add(filler, fd, path, data, length, offset);
    else if (pwrite_all(fd, data, length, offset) < 0)
        return unpack_failed(u, "writing", path);
    return 0;
}

/* Writes the content of a file, and sets *end to the length that was written.
 * Holes stay holes. */
static int unpack_content(struct unpack *u, int fd, const char *path,
                          struct filler *filler, struct archive_entry *e,
                          int64_t *end) {
    const void *data;
    size_t length;
    la_int64_t offset, size = archive_entry_size(e);
    *end = 0;
    if (size < 0 || size > unpack_max_bytes(u))
        return fault_set(u->f, 413, "'" NAME "' is larger than %lld bytes",
                         path, (long long)unpack_max_bytes(u));
    while (!unpack_must_stop(u)) {
        int got = archive_read_data_block(u->a, &data, &length, &offset);
        if (got == ARCHIVE_EOF)
            return 0;
        if (got == ARCHIVE_RETRY)
            continue;
        if (got < ARCHIVE_WARN)
            return input_fault(u);
        if (offset < 0 || offset > size || length > (uint64_t)(size - offset))
            return unpack_refuse(u, path, "has data beyond its size");
        if (unpack_count_bytes(u, length) < 0)
            return -1;
        if (write_part(u, fd, path, filler, data, length, offset) < 0)
            return -1;
        *end = offset + (int64_t)length;
    }
    return -1;
}

/* Ends a file that the filler writes; it takes over the descriptor. */
static int end_later(struct unpack *u, int fd, const char *path,
                     struct archive_entry *e, int64_t end) {
    int64_t size = archive_entry_size(e);
    struct file_end done = {.size = end < size ? size : -1,
                            .mode = archive_entry_perm(e) & 07777};
    entry_times(e, done.times);
    int result = entry_owner(u, path, e, &done.uid, &done.gid);
    filler_end(u->o->filler, fd, path, result < 0 ? NULL : &done);
    return result;
}

static int end_now(struct unpack *u, int fd, const char *path,
                   struct archive_entry *e, int64_t end) {
    struct timespec times[2];
    int64_t size = archive_entry_size(e);
    /* A hole at the end. */
    if (end < size && ftruncate(fd, size) < 0)
        return unpack_failed(u, "writing", path);
    if (set_metadata(u, fd, path, e) < 0)
        return -1;
    entry_times(e, times);
    return futimens(fd, times) < 0
               ? unpack_failed(u, "setting the time of", path)
               : 0;
}

static int unpack_file(struct unpack *u, int parent, const char *name,
                       const char *path, struct archive_entry *e) {
    int64_t end;
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    int fd CLEANUP(cleanup_close) = openat(parent, name, flags, 0600);
    if (fd < 0 && errno == EEXIST) {
        if (root_make_way(u, parent, name) < 0)
            return -1;
        fd = openat(parent, name, flags, 0600);
    }
    if (fd < 0)
        return unpack_failed(u, "making", path);
    /* Attributes are counted and set here: few files have them. */
    struct filler *filler = archive_entry_xattr_count(e) ? NULL : u->o->filler;
    int result = unpack_content(u, fd, path, filler, e, &end);
    if (!filler)
        return result < 0 ? -1 : end_now(u, fd, path, e, end);
    if (result == 0)
        return end_later(u, steal_fd(&fd), path, e, end);
    filler_end(filler, steal_fd(&fd), path, NULL);
    return -1;
}

/* Symbolic links and FIFOs. */
static int unpack_special(struct unpack *u, int parent, const char *name,
                          const char *path, struct archive_entry *e) {
    struct timespec times[2];
    uid_t uid;
    gid_t gid;
    bool fifo = archive_entry_filetype(e) == AE_IFIFO;
    const char *target = archive_entry_symlink(e);
    if (!fifo && (!target || !*target || strlen(target) >= PATH_MAX))
        return unpack_refuse(u, path, "is a link without a usable target");
    if (entry_owner(u, path, e, &uid, &gid) < 0)
        return -1;
    if (fifo ? mknodat(parent, name, S_IFIFO | 0600, 0) < 0
             : symlinkat(target, parent, name) < 0)
        return unpack_failed(u, "making", path);
    entry_times(e, times);
    if (fchownat(parent, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0 ||
        utimensat(parent, name, times, AT_SYMLINK_NOFOLLOW) < 0 ||
        (fifo && fchmodat(parent, name, archive_entry_perm(e) & 07777, 0) < 0))
        return unpack_failed(u, "making", path);
    return 0;
}

/* A hard link repeats the metadata of its file. Where they differ, the link's
 * count. */
static int unpack_link_metadata(struct unpack *u, int parent, const char *name,
                                const char *path, struct archive_entry *e) {
    struct timespec times[2];
    struct stat st;
    int fd CLEANUP(cleanup_close) =
        openat(parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return 0; /* the metadata of others is not repeated */
    entry_times(e, times);
    if (set_metadata(u, fd, path, e) < 0)
        return -1;
    return futimens(fd, times) < 0
               ? unpack_failed(u, "setting the time of", path)
               : 0;
}

static int unpack_hardlink(struct unpack *u, int parent, const char *name,
                           const char *path, struct archive_entry *e) {
    char target[PATH_MAX], target_name[NAME_MAX + 1];
    struct stat st, old;
    if (clean_name(u, archive_entry_hardlink(e), target) < 0)
        return -1;
    int from CLEANUP(cleanup_close) =
        hardlink_target(u, path, target, target_name);
    if (from < 0)
        return -1;
    bool itself = fstatat(from, target_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
                  fstatat(parent, name, &old, AT_SYMLINK_NOFOLLOW) == 0 &&
                  old.st_ino == st.st_ino;
    if (!itself && root_make_way(u, parent, name) < 0)
        return -1;
    if (!itself && linkat(from, target_name, parent, name, 0) < 0)
        return errno == ENOENT
                   ? unpack_refuse(u, path,
                                   "is a hard link to what it replaces")
                   : unpack_failed(u, "linking", path);
    return unpack_link_metadata(u, parent, name, path, e);
}

/* A whiteout hides entries of lower layers only: those of this archive stay. */
static int unpack_whiteout(struct unpack *u, int parent, const char *name,
                           const char *path) {
    struct stat st;
    if (strcmp(name, ".wh..opq") == 0)
        return hide_all(u, parent);
    if (strncmp(name, ".wh.", 4) == 0)
        return 0; /* bookkeeping of aufs */
    if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return unpack_refuse(u, path, "hides what it must not");
    if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? hide_name(u, parent, name)
                               : unpack_failed(u, "hiding", path);
    if (!S_ISDIR(st.st_mode))
        return 0;
    int brought = hide_prune(u, parent, name);
    if (brought == 1)
        return root_set_opaque(u, parent, name);
    return brought < 0 ? -1 : hide_name(u, parent, name);
}

/* Leaves out a device, or an unknown type. Yet it replaces what is below. */
static int leave_out(struct unpack *u, int parent, const char *name) {
    u->result->skipped++;
    if (root_make_way(u, parent, name) < 0)
        return -1;
    return u->o->whiteouts ? hide_name(u, parent, name) : 0;
}

static int unpack_named(struct unpack *u, const char *path,
                        struct archive_entry *e) {
    const char *name;
    int parent = place_parent(u, path, &name);
    if (parent < 0)
        return -1;
    bool hides = u->o->whiteouts && strncmp(name, ".wh.", 4) == 0;
    if ((hides || archive_entry_hardlink(e)) && settle(u) < 0)
        return -1;
    if (hides)
        return unpack_whiteout(u, parent, name + 4, path);
    if (archive_entry_hardlink(e))
        return unpack_hardlink(u, parent, name, path, e);
    switch (archive_entry_filetype(e)) {
    case AE_IFDIR:
        return unpack_directory(u, parent, name, path, e);
    case AE_IFREG:
        return unpack_file(u, parent, name, path, e);
    case AE_IFLNK:
    case AE_IFIFO:
        if (root_make_way(u, parent, name) < 0)
            return -1;
        return unpack_special(u, parent, name, path, e);
    default:
        return leave_out(u, parent, name);
    }
}

static int unpack_entry(struct unpack *u, struct archive_entry *e) {
    char path[PATH_MAX];
    if (unpack_count_entry(u) < 0 ||
        clean_name(u, archive_entry_pathname(e), path))
        return -1;
    return strcmp(path, u->at) == 0 ? unpack_top(u, e)
                                    : unpack_named(u, path, e);
}

static int finish(struct unpack *u) {
    if (settle(u) < 0 || input_check_kind(u) < 0 || hardlink_finish(u) < 0)
        return -1;
    implied_forget(u);
    return set_directory_times(u);
}

static int unpack_all(struct unpack *u) {
    char at[PATH_MAX];
    if (u->o->at && *u->o->at) {
        if (clean_name(u, u->o->at, at) < 0)
            return -1;
        memcpy(u->at, at, sizeof at);
    }
    if (input_open(u) < 0 || place_root(u) < 0)
        return -1;
    for (;;) {
        struct archive_entry *e;
        int got = archive_read_next_header(u->a, &e);
        if (got == ARCHIVE_EOF)
            return finish(u);
        if (got == ARCHIVE_RETRY)
            continue;
        if (got < ARCHIVE_WARN)
            return input_fault(u);
        if (unpack_entry(u, e) < 0)
            return -1;
    }
}

int unpack_tar(int root, int fd, const struct unpack_options *o,
               struct unpack_result *result, struct fault *f) {
    struct unpack *u = calloc(1, sizeof *u);
    struct archive *a = archive_read_new();
    struct fault unused;
    int status = -1;
    *result = (struct unpack_result){0};
    if (u && a) {
        /* PAX names are UTF-8, and libarchive converts them to the locale's
         * charset. So this thread has a locale of its own. */
        locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", NULL);
        locale_t before = utf8 ? uselocale(utf8) : NULL;
        u->o = o;
        u->result = result;
        u->f = f ? f : &unused;
        u->a = a;
        u->root = root;
        u->input = fd;
        u->parent = -1;
        buffer_init(&u->times, 64 << 20);
        buffer_init(&u->linked, 64 << 20);
        buffer_init(&u->implied, 64 << 20);
        status = unpack_all(u);
        if (status < 0 && o->filler && filler_wait(o->filler) < 0)
            status = -1; /* nothing is written after the return */
        drop_fd(&u->parent);
        buffer_free(&u->times);
        buffer_free(&u->linked);
        buffer_free(&u->implied);
        if (utf8) {
            uselocale(before);
            freelocale(utf8);
        }
    } else {
        fault_memory(f);
    }
    archive_read_free(a);
    free(u);
    return status;
}
