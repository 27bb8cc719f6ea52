/* unpack.c: see unpack.h. The archive is the attacker: it may name any path in
 * any order, replace what it made, lie about sizes and never end. */
#define _GNU_SOURCE
#include "unpack.h"
#include "layer.h"
#include "tree.h"
#include <archive.h>
#include <archive_entry.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <locale.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#define MAX_BYTES (12LL << 30)
#define MAX_ENTRIES 2000000
/* No honest layer shrinks better than this once it is past the first part. */
#define MAX_RATIO 2000
#define RATIO_FROM (256LL << 20)
#define MAX_ATTRIBUTE 65536
#define INPUT_BLOCK (256 << 10)

struct unpack {
    const struct unpack_options *o;
    struct unpack_result *result;
    struct fault *f;
    struct archive *a;
    int root, input;
    bool stopped; /* the fault was filled by the reader */
    /* The directory of the last entry, as most share it with the next. */
    int parent;
    char parent_path[PATH_MAX];
    /* Directories' times, set when nothing will be made in them any more. */
    struct buffer times;
    char block[INPUT_BLOCK];
};

struct dir_time {
    struct timespec mtime;
    size_t length; /* of the name that follows, with its NUL */
};

/* Names come from the archive: cut, and logged or shown only through fault and
 * log_line. */
#define NAME "%.200s"

static int refuse(struct unpack *u, const char *name, const char *why) {
    return fault_set(u->f, 422, "bad archive: '" NAME "' %s", name, why);
}

static int failed(struct unpack *u, const char *doing, const char *name) {
    return fault_errno(u->f, "%s '" NAME "'", doing, name);
}

static bool must_stop(struct unpack *u) {
    const struct unpack_options *o = u->o;
    if (o->cancelled && *o->cancelled)
        fault_set(u->f, 409, "cancelled");
    else if (o->deadline > 0 && monotonic_seconds() > o->deadline)
        fault_set(u->f, 408, "the archive took longer than allowed");
    else
        return false;
    u->stopped = true;
    return true;
}

static la_ssize_t call_reader(struct unpack *u) {
    const struct unpack_options *o = u->o;
    ssize_t n = o->read(o->read_arg, u->block, sizeof u->block, u->f);
    u->stopped = n < 0;
    if (n < 0)
        archive_set_error(u->a, EIO, "stopped");
    return n;
}

/* libarchive's source of bytes. Polls, so that a peer that drips or hangs
 * cannot hold the worker past the deadline. */
static la_ssize_t read_input(struct archive *a, void *arg, const void **data) {
    struct unpack *u = arg;
    struct pollfd p = {.fd = u->input, .events = POLLIN};
    *data = u->block;
    while (!must_stop(u)) {
        if (u->o->read)
            return call_reader(u);
        int ready = poll(&p, 1, 200);
        if (ready == 0 || (ready < 0 && errno == EINTR))
            continue;
        ssize_t n = read(u->input, u->block, sizeof u->block);
        if (n >= 0)
            return n;
        if (errno != EINTR && errno != EAGAIN) {
            archive_set_error(a, errno, "reading: %s", strerror(errno));
            return -1;
        }
    }
    archive_set_error(a, ECANCELED, "stopped");
    return -1;
}

static int archive_fault(struct unpack *u) {
    if (u->stopped)
        return -1;
    const char *why = archive_error_string(u->a);
    return fault_set(u->f, 422, "bad archive: %.300s",
                     why ? why : "not a tar archive");
}

static int count_entry(struct unpack *u) {
    int64_t most = u->o->max_entries ? u->o->max_entries : MAX_ENTRIES;
    if (++u->result->entries > most)
        return fault_set(u->f, 413, "the archive has more than %lld entries",
                         (long long)most);
    return must_stop(u) ? -1 : 0;
}

static int64_t max_bytes(const struct unpack *u) {
    return u->o->max_bytes ? u->o->max_bytes : MAX_BYTES;
}

static int count_bytes(struct unpack *u, uint64_t more) {
    int64_t left = max_bytes(u) - u->result->bytes;
    if (more > (uint64_t)left)
        return fault_set(u->f, 413, "the archive holds more than %lld bytes",
                         (long long)max_bytes(u));
    u->result->bytes += (int64_t)more;
    int64_t in = archive_filter_bytes(u->a, -1);
    if (u->result->bytes > RATIO_FROM && u->result->bytes / MAX_RATIO > in)
        return fault_set(u->f, 413,
                         "the archive grows more than %d times: refused as a "
                         "decompression bomb",
                         MAX_RATIO);
    return 0;
}

/* Normal form of a name: relative, no empty and no "." parts; "" is the root.
 */
static int clean_name(struct unpack *u, const char *raw, char out[PATH_MAX]) {
    size_t used = 0;
    if (!raw || !*raw)
        return refuse(u, "", "is no name for an entry");
    for (const char *p = raw; *p;) {
        size_t length = strcspn(p, "/");
        bool dot = length == 1 && p[0] == '.';
        if (length == 2 && p[0] == '.' && p[1] == '.')
            return refuse(u, raw, "leads out of its directory");
        if (length > NAME_MAX || used + length + 2 > PATH_MAX)
            return refuse(u, raw, "has too long a name");
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

static int open_inside(const struct unpack *u, const char *path, int flags) {
    return open_scoped(u->root, *path ? path : ".", (uint64_t)flags | O_CLOEXEC,
                       RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS |
                           RESOLVE_NO_XDEV);
}

static void forget_parent(struct unpack *u) {
    if (u->parent >= 0)
        close(u->parent);
    u->parent = -1;
}

static int set_opaque(struct unpack *u, int parent, const char *name) {
    int fd CLEANUP(cleanup_close) =
        openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fsetxattr(fd, "user.overlay.opaque", "y", 1, 0) < 0)
        return failed(u, "marking", name);
    return 0;
}

/* Removes what is at `name`. *whiteout tells that it was one; a directory that
 * is to become a directory stays, and 1 is returned. */
static int make_way(struct unpack *u, int parent, const char *name,
                    bool directory, bool *whiteout) {
    struct stat st;
    *whiteout = false;
    if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : failed(u, "replacing", name);
    if (directory && S_ISDIR(st.st_mode))
        return 1;
    *whiteout = layer_is_whiteout(&st);
    if (tree_delete_at(parent, name) < 0)
        return failed(u, "replacing", name);
    return 0;
}

static int make_directory(struct unpack *u, int parent, const char *name) {
    bool whiteout;
    int there = make_way(u, parent, name, true, &whiteout);
    if (there)
        return there < 0 ? -1 : 0;
    if (mkdirat(parent, name, 0700) < 0 ||
        fchownat(parent, name, u->o->ids.base, u->o->ids.base,
                 AT_SYMLINK_NOFOLLOW) < 0 ||
        fchmodat(parent, name, 0755, 0) < 0)
        return failed(u, "making directory", name);
    /* What the whiteout hid must not shine through. */
    return whiteout ? set_opaque(u, parent, name) : 0;
}

/* A directory that the archive does not describe, or not yet, is like the one
 * that it comes to lie over. */
static int inherit(struct unpack *u, const char *path, int dir,
                   const char *name) {
    const struct unpack_options *o = u->o;
    struct unpack_owner like = {.uid = 0};
    uint32_t base = o->ids.base;
    int found = o->below ? o->below(o->below_arg, path, &like, u->f) : 0;
    u->stopped = u->stopped || found < 0;
    if (found <= 0)
        return found;
    if (fchownat(dir, name, base + like.uid, base + like.gid,
                 AT_SYMLINK_NOFOLLOW) < 0 ||
        fchmodat(dir, name, like.mode & 07777, 0) < 0)
        return failed(u, "making directory", path);
    return 0;
}

/* Makes what is missing of `path`. Only what is not there is made, and only
 * there where the kernel's resolution of the part before it leads. */
static int make_parents(struct unpack *u, const char *path) {
    char prefix[PATH_MAX];
    int at CLEANUP(cleanup_close) = open_inside(u, "", O_PATH | O_DIRECTORY);
    for (const char *p = path; at >= 0 && *p;) {
        size_t length = strcspn(p, "/");
        size_t end = (size_t)(p - path) + length;
        memcpy(prefix, path, end);
        prefix[end] = 0;
        int next = open_inside(u, prefix, O_PATH | O_DIRECTORY);
        if (next < 0 && (errno == ENOENT || errno == ENOTDIR)) {
            struct stat st;
            const char *name = prefix + (p - path);
            if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
                !layer_is_whiteout(&st))
                return refuse(u, path, "is below what is not a directory");
            if (count_entry(u) < 0 || make_directory(u, at, name) < 0 ||
                inherit(u, prefix, at, name) < 0)
                return -1;
            next = open_inside(u, prefix, O_PATH | O_DIRECTORY);
        }
        close(at);
        at = next;
        p += length + (p[length] == '/');
    }
    return at < 0 ? failed(u, "making directory", path) : steal_fd(&at);
}

/* The directory of `path`, made if need be; *name is the last part. The
 * descriptor stays ours. */
static int open_parent(struct unpack *u, const char *path, const char **name) {
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) : 0;
    *name = slash ? slash + 1 : path;
    if (u->parent >= 0 && strlen(u->parent_path) == length &&
        memcmp(u->parent_path, path, length) == 0)
        return u->parent;
    forget_parent(u);
    memcpy(u->parent_path, path, length);
    u->parent_path[length] = 0;
    u->parent = open_inside(u, u->parent_path, O_PATH | O_DIRECTORY);
    if (u->parent < 0 && (errno == ENOENT || errno == ENOTDIR))
        u->parent = make_parents(u, u->parent_path);
    else if (u->parent < 0 && errno == ELOOP)
        return refuse(u, path, "is behind a loop of links");
    else if (u->parent < 0)
        return failed(u, "opening the directory of", path);
    return u->parent;
}

static int shift_id(struct unpack *u, const char *name, int64_t id,
                    uint32_t *out) {
    *out = u->o->ids.base;
    if (u->o->ids.count == 1)
        return 0;
    if (id < 0 || id >= u->o->ids.count)
        return fault_set(u->f, 422,
                         "'" NAME "' belongs to id %lld: this engine has ids 0 "
                         "to %u; " IDS_FIX,
                         name, (long long)id, u->o->ids.count - 1);
    *out += (uint32_t)id;
    return 0;
}

static int entry_owner(struct unpack *u, const char *name,
                       struct archive_entry *e, uid_t *uid, gid_t *gid) {
    if (shift_id(u, name, archive_entry_uid(e), uid) < 0)
        return -1;
    return shift_id(u, name, archive_entry_gid(e), gid);
}

static void entry_times(struct archive_entry *e, struct timespec out[2]) {
    long nanoseconds = archive_entry_mtime_nsec(e);
    out[0] = (struct timespec){.tv_nsec = UTIME_OMIT};
    out[1] = out[0];
    if (archive_entry_mtime_is_set(e) && nanoseconds >= 0 &&
        nanoseconds < 1000000000)
        out[1] = (struct timespec){.tv_sec = archive_entry_mtime(e),
                                   .tv_nsec = nanoseconds};
}

/* A file capability is stored so that it holds below the sandbox's root only,
 * never on the host (version 3 names the root it is for). */
static int set_capability(int fd, const void *value, size_t size, uid_t base) {
    struct vfs_ns_cap_data cap = {0};
    if (size != XATTR_CAPS_SZ_2 && size != XATTR_CAPS_SZ_3)
        return -1;
    memcpy(&cap, value, XATTR_CAPS_SZ_2);
    uint32_t magic = le32toh(cap.magic_etc);
    if ((magic & VFS_CAP_REVISION_MASK) != VFS_CAP_REVISION_2 &&
        (magic & VFS_CAP_REVISION_MASK) != VFS_CAP_REVISION_3)
        return -1;
    cap.magic_etc =
        htole32(VFS_CAP_REVISION_3 | (magic & VFS_CAP_FLAGS_EFFECTIVE));
    cap.rootid = htole32(base);
    return fsetxattr(fd, "security.capability", &cap, sizeof cap, 0);
}

static int set_attribute(struct unpack *u, int fd, const char *name,
                         const void *value, size_t size) {
    if (size > MAX_ATTRIBUTE)
        return -1;
    if (strcmp(name, "security.capability") == 0)
        return set_capability(fd, value, size, u->o->ids.base);
    if (strncmp(name, "user.", 5) != 0)
        return -1;
    /* Overlay's own would let an archive hide or redirect lower files. */
    if (strncmp(name, "user.overlay.", 13) == 0)
        return -1;
    return fsetxattr(fd, name, value, size, 0);
}

static int set_attributes(struct unpack *u, int fd, struct archive_entry *e) {
    const char *name;
    const void *value;
    size_t size;
    archive_entry_xattr_reset(e);
    while (archive_entry_xattr_next(e, &name, &value, &size) == ARCHIVE_OK) {
        if (count_bytes(u, size) < 0)
            return -1;
        if (set_attribute(u, fd, name, value, size) < 0)
            u->result->skipped++;
    }
    return 0;
}

/* Owner, mode, attributes of an open file or directory. The owner first: chown
 * takes set-id bits and capabilities away. */
static int set_metadata(struct unpack *u, int fd, const char *name,
                        struct archive_entry *e) {
    uid_t uid;
    gid_t gid;
    if (entry_owner(u, name, e, &uid, &gid) < 0)
        return -1;
    if (fchown(fd, uid, gid) < 0)
        return failed(u, "giving an owner to", name);
    if (set_attributes(u, fd, e) < 0)
        return -1;
    if (fchmod(fd, archive_entry_perm(e) & 07777) < 0)
        return failed(u, "setting the mode of", name);
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
            open_inside(u, u->times.data + at, O_RDONLY | O_DIRECTORY);
        struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, d.mtime};
        at += d.length;
        /* A directory that was replaced later is no fault. */
        if (fd >= 0 && futimens(fd, times) < 0)
            return fault_errno(u->f, "setting a time");
    }
    return 0;
}

static int unpack_root(struct unpack *u, struct archive_entry *e) {
    if (archive_entry_hardlink(e) || archive_entry_filetype(e) != AE_IFDIR)
        return refuse(u, "/", "must be a directory");
    if (set_metadata(u, u->root, "/", e) < 0)
        return -1;
    return remember_time(u, "", e);
}

static int unpack_directory(struct unpack *u, int parent, const char *name,
                            const char *path, struct archive_entry *e) {
    if (make_directory(u, parent, name) < 0)
        return -1;
    int fd CLEANUP(cleanup_close) =
        openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return failed(u, "opening", path);
    if (set_metadata(u, fd, path, e) < 0)
        return -1;
    return remember_time(u, path, e);
}

static int write_at(int fd, const char *data, size_t length, int64_t offset) {
    while (length) {
        ssize_t n = pwrite(fd, data, length, offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        data += n;
        offset += n;
        length -= (size_t)n;
    }
    return 0;
}

/* Holes stay holes. */
static int unpack_content(struct unpack *u, int fd, const char *path,
                          struct archive_entry *e) {
    const void *data;
    size_t length;
    la_int64_t offset, size = archive_entry_size(e);
    if (size < 0 || size > max_bytes(u))
        return fault_set(u->f, 413, "'" NAME "' is larger than %lld bytes",
                         path, (long long)max_bytes(u));
    while (!must_stop(u)) {
        int got = archive_read_data_block(u->a, &data, &length, &offset);
        if (got == ARCHIVE_EOF && ftruncate(fd, size) < 0)
            return failed(u, "writing", path);
        if (got == ARCHIVE_EOF)
            return 0;
        if (got == ARCHIVE_RETRY)
            continue;
        if (got < ARCHIVE_WARN)
            return archive_fault(u);
        if (offset < 0 || offset > size || length > (uint64_t)(size - offset))
            return refuse(u, path, "has data beyond its size");
        if (count_bytes(u, length) < 0)
            return -1;
        if (write_at(fd, data, length, offset) < 0)
            return failed(u, "writing", path);
    }
    return -1;
}

static int unpack_file(struct unpack *u, int parent, const char *name,
                       const char *path, struct archive_entry *e) {
    struct timespec times[2];
    int fd CLEANUP(cleanup_close) =
        openat(parent, name,
               O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return failed(u, "making", path);
    if (unpack_content(u, fd, path, e) < 0 || set_metadata(u, fd, path, e) < 0)
        return -1;
    entry_times(e, times);
    if (futimens(fd, times) < 0)
        return failed(u, "setting the time of", path);
    return 0;
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
        return refuse(u, path, "is a link without a usable target");
    if (entry_owner(u, path, e, &uid, &gid) < 0)
        return -1;
    if (fifo ? mknodat(parent, name, S_IFIFO | 0600, 0) < 0
             : symlinkat(target, parent, name) < 0)
        return failed(u, "making", path);
    entry_times(e, times);
    if (fchownat(parent, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0 ||
        utimensat(parent, name, times, AT_SYMLINK_NOFOLLOW) < 0 ||
        (fifo && fchmodat(parent, name, archive_entry_perm(e) & 07777, 0) < 0))
        return failed(u, "making", path);
    return 0;
}

/* Opens the directory of a hard link's target, which must be there. */
static int open_target(struct unpack *u, const char *path, const char *target,
                       const char **name, struct stat *st) {
    char dir[PATH_MAX];
    const char *slash = strrchr(target, '/');
    size_t length = slash ? (size_t)(slash - target) : 0;
    memcpy(dir, target, length);
    dir[length] = 0;
    *name = slash ? slash + 1 : target;
    int fd = **name ? open_inside(u, dir, O_PATH | O_DIRECTORY) : -1;
    if (fd >= 0 && fstatat(fd, *name, st, AT_SYMLINK_NOFOLLOW) == 0 &&
        !S_ISDIR(st->st_mode) && !layer_is_whiteout(st))
        return fd;
    if (fd >= 0)
        close(fd);
    return refuse(u, path, "is a hard link to what is not in the archive");
}

static int unpack_hardlink(struct unpack *u, int parent, const char *name,
                           const char *path, struct archive_entry *e) {
    char target[PATH_MAX];
    const char *target_name;
    struct stat st, old;
    bool whiteout;
    if (clean_name(u, archive_entry_hardlink(e), target) < 0)
        return -1;
    int from CLEANUP(cleanup_close) =
        open_target(u, path, target, &target_name, &st);
    if (from < 0)
        return -1;
    if (fstatat(parent, name, &old, AT_SYMLINK_NOFOLLOW) == 0 &&
        old.st_ino == st.st_ino)
        return 0; /* to itself */
    if (make_way(u, parent, name, false, &whiteout) < 0)
        return -1;
    if (linkat(from, target_name, parent, name, 0) < 0)
        return failed(u, "linking", path);
    return 0;
}

/* A whiteout speaks of lower layers only: what this archive brings itself
 * stays. */
static int unpack_whiteout(struct unpack *u, int parent, const char *name,
                           const char *path) {
    struct stat st;
    if (strcmp(name, ".wh..opq") == 0)
        return set_opaque(u, parent, ".");
    if (strncmp(name, ".wh.", 4) == 0)
        return 0; /* aufs' own bookkeeping */
    if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return refuse(u, path, "hides what it must not");
    if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return S_ISDIR(st.st_mode) ? set_opaque(u, parent, name) : 0;
    if (errno != ENOENT ||
        mknodat(parent, name, S_IFCHR | 0600, makedev(0, 0)) < 0)
        return failed(u, "hiding", path);
    return 0;
}

static int unpack_named(struct unpack *u, const char *path,
                        struct archive_entry *e) {
    const char *name;
    bool whiteout;
    int parent = open_parent(u, path, &name);
    if (parent < 0)
        return -1;
    if (u->o->whiteouts && strncmp(name, ".wh.", 4) == 0)
        return unpack_whiteout(u, parent, name + 4, path);
    if (archive_entry_hardlink(e))
        return unpack_hardlink(u, parent, name, path, e);
    switch (archive_entry_filetype(e)) {
    case AE_IFDIR:
        return unpack_directory(u, parent, name, path, e);
    case AE_IFREG:
        if (make_way(u, parent, name, false, &whiteout) < 0)
            return -1;
        return unpack_file(u, parent, name, path, e);
    case AE_IFLNK:
    case AE_IFIFO:
        if (make_way(u, parent, name, false, &whiteout) < 0)
            return -1;
        return unpack_special(u, parent, name, path, e);
    default:
        u->result->skipped++;
        return 0;
    }
}

static int unpack_entry(struct unpack *u, struct archive_entry *e) {
    char path[PATH_MAX];
    if (count_entry(u) < 0 || clean_name(u, archive_entry_pathname(e), path))
        return -1;
    return *path ? unpack_named(u, path, e) : unpack_root(u, e);
}

/* Only what is decoded by a library: some filters of libarchive start programs
 * of the machine. */
static int open_archive(struct unpack *u) {
    if (archive_read_support_filter_gzip(u->a) != ARCHIVE_OK ||
        archive_read_support_filter_bzip2(u->a) != ARCHIVE_OK ||
        archive_read_support_filter_xz(u->a) != ARCHIVE_OK ||
        archive_read_support_filter_zstd(u->a) != ARCHIVE_OK ||
        archive_read_support_format_tar(u->a) != ARCHIVE_OK)
        return fault_set(u->f, 500, "libarchive lacks a filter: %s",
                         archive_error_string(u->a));
    if (archive_read_open(u->a, u, NULL, read_input, NULL) < ARCHIVE_WARN)
        return archive_fault(u);
    return 0;
}

static int unpack_all(struct unpack *u) {
    if (open_archive(u) < 0 || inherit(u, "", u->root, ".") < 0)
        return -1;
    for (;;) {
        struct archive_entry *e;
        int got = archive_read_next_header(u->a, &e);
        if (got == ARCHIVE_EOF)
            return set_directory_times(u);
        if (got == ARCHIVE_RETRY)
            continue;
        if (got < ARCHIVE_WARN)
            return archive_fault(u);
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
         * charset: ours for this thread, whatever the process has. */
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
        status = unpack_all(u);
        forget_parent(u);
        buffer_free(&u->times);
        if (utf8) {
            uselocale(before);
            freelocale(utf8);
        }
    } else {
        fault_set(f, 500, "out of memory");
    }
    archive_read_free(a);
    free(u);
    return status;
}
