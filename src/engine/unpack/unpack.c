/* unpack.c: see unpack.h. The archive is the attacker: it may name any path in
 * any order, replace what it made, lie about sizes and never end. */
#define _GNU_SOURCE
#include "base/deadline.h"
#include "base/descriptor.h"
#include "base/scope.h"
#include "base/tree.h"
#include "unpack/internal.h"
#include <archive_entry.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
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

struct dir_time {
    struct timespec mtime;
    size_t length; /* of the name that follows, with its NUL */
};

int unpack_refuse(struct unpack *u, const char *name, const char *why) {
    return fault_set(u->f, 422, "bad archive: '" NAME "' %s", name, why);
}

int unpack_failed(struct unpack *u, const char *doing, const char *name) {
    return fault_errno(u->f, "%s '" NAME "'", doing, name);
}

bool unpack_must_stop(struct unpack *u) {
    const struct deadline p = {u->o->deadline, u->o->cancelled};
    if (deadline_check(&p, "the archive", u->f) == 0)
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

/* To be able to say what it is when it is no tar. */
static la_ssize_t keep_beginning(struct unpack *u, ssize_t n) {
    size_t room = sizeof u->beginning - u->begun;
    size_t more = (size_t)n < room ? (size_t)n : room;
    memcpy(u->beginning + u->begun, u->block, more);
    u->begun += more;
    return n;
}

/* libarchive's source of bytes. Polls, so that a peer that drips or hangs
 * cannot hold the worker past the deadline. */
static la_ssize_t read_input(struct archive *a, void *arg, const void **data) {
    struct unpack *u = arg;
    struct pollfd p = {.fd = u->input, .events = POLLIN};
    *data = u->block;
    while (!unpack_must_stop(u)) {
        if (u->o->read)
            return call_reader(u);
        int ready = poll(&p, 1, 200);
        if (ready == 0 || (ready < 0 && errno == EINTR))
            continue;
        ssize_t n = read(u->input, u->block, sizeof u->block);
        if (n >= 0)
            return keep_beginning(u, n);
        if (errno != EINTR && errno != EAGAIN) {
            archive_set_error(a, errno, "reading: %s", strerror(errno));
            return -1;
        }
    }
    archive_set_error(a, ECANCELED, "stopped");
    return -1;
}

/* What it is that is no tar, if nothing came out of it. */
static const char *other_kind(const struct unpack *u) {
    return u->result->entries == 0 ? kind_of_bytes(u->beginning, u->begun)
                                   : NULL;
}

static int refuse_kind(struct unpack *u, const char *kind) {
    return fault_set(u->f, 422, "bad archive: no tar, but %s", kind);
}

static int archive_fault(struct unpack *u) {
    if (u->stopped)
        return -1;
    const char *why = archive_error_string(u->a);
    const char *kind = other_kind(u);
    if (kind)
        return refuse_kind(u, kind);
    return fault_set(u->f, 422, "bad archive: %.300s",
                     why ? why : "not a tar archive");
}

int unpack_count_entry(struct unpack *u) {
    int64_t most = u->o->max_entries ? u->o->max_entries : MAX_ENTRIES;
    if (++u->result->entries > most)
        return fault_set(u->f, 413, "the archive has more than %lld entries",
                         (long long)most);
    return unpack_must_stop(u) ? -1 : 0;
}

static int64_t max_bytes(const struct unpack *u) {
    return u->o->max_bytes ? u->o->max_bytes : MAX_BYTES;
}

int unpack_count_bytes(struct unpack *u, uint64_t more) {
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
        return unpack_refuse(u, "", "is no name for an entry");
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

int unpack_set_opaque(struct unpack *u, int parent, const char *name) {
    int fd CLEANUP(cleanup_close) =
        openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fsetxattr(fd, "user.overlay.opaque", "y", 1, 0) < 0)
        return unpack_failed(u, "marking", name);
    return 0;
}

/* Removes what this archive has made at `name`: *replaced tells that there was
 * something. A directory that is to become a directory stays: 1. */
static int make_way(struct unpack *u, int parent, const char *name,
                    bool directory, bool *replaced) {
    struct stat st;
    *replaced = false;
    if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : unpack_failed(u, "replacing", name);
    if (directory && S_ISDIR(st.st_mode))
        return 1;
    *replaced = true;
    if (tree_delete_at(parent, name) < 0)
        return unpack_failed(u, "replacing", name);
    return 0;
}

int unpack_make_way(struct unpack *u, int parent, const char *name) {
    bool replaced;
    return make_way(u, parent, name, false, &replaced);
}

int unpack_make_directory(struct unpack *u, int parent, const char *name) {
    bool replaced;
    struct stat st;
    uint32_t root = u->o->ids.base;
    int there = make_way(u, parent, name, true, &replaced);
    if (there)
        return there < 0 ? -1 : 0;
    if (fstat(parent, &st) < 0 || mkdirat(parent, name, 0700) < 0 ||
        fchownat(parent, name, root, st.st_mode & S_ISGID ? st.st_gid : root,
                 AT_SYMLINK_NOFOLLOW) < 0 ||
        fchmodat(parent, name, 0755, 0) < 0)
        return unpack_failed(u, "making directory", name);
    /* What a whiteout or a file hid must not shine through. */
    return replaced && u->o->whiteouts ? unpack_set_opaque(u, parent, name) : 0;
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
    struct timespec t = {.tv_sec = archive_entry_mtime(e),
                         .tv_nsec = archive_entry_mtime_nsec(e)};
    /* libarchive reads -1.5 as -1 seconds and 500,000,000 nanoseconds. */
    if (t.tv_sec < 0 && t.tv_nsec > 0 && t.tv_nsec < 1000000000 &&
        t.tv_sec > INT64_MIN) {
        t.tv_sec--;
        t.tv_nsec = 1000000000 - t.tv_nsec;
    }
    out[0] = (struct timespec){.tv_nsec = UTIME_OMIT};
    out[1] = out[0];
    if (archive_entry_mtime_is_set(e) && t.tv_nsec >= 0 &&
        t.tv_nsec < 1000000000)
        out[1] = t;
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
        if (unpack_count_bytes(u, size) < 0)
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
        return unpack_failed(u, "giving an owner to", name);
    if (set_attributes(u, fd, e) < 0)
        return -1;
    if (fchmod(fd, archive_entry_perm(e) & 07777) < 0)
        return unpack_failed(u, "setting the mode of", name);
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
            place_open(u, u->times.data + at, O_RDONLY | O_DIRECTORY);
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
        return unpack_refuse(u, "/", "must be a directory");
    if (set_metadata(u, u->root, "/", e) < 0)
        return -1;
    return remember_time(u, "", e);
}

static int unpack_directory(struct unpack *u, int parent, const char *name,
                            const char *path, struct archive_entry *e) {
    char place[PATH_MAX];
    if (place_of(u, name, place) < 0 ||
        unpack_make_directory(u, parent, name) < 0)
        return -1;
    int fd CLEANUP(cleanup_close) =
        openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return unpack_failed(u, "opening", path);
    if (u->implied_count)
        place_describe(fd);
    if (set_metadata(u, fd, path, e) < 0)
        return -1;
    return remember_time(u, place, e);
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
    while (!unpack_must_stop(u)) {
        int got = archive_read_data_block(u->a, &data, &length, &offset);
        if (got == ARCHIVE_EOF && ftruncate(fd, size) < 0)
            return unpack_failed(u, "writing", path);
        if (got == ARCHIVE_EOF)
            return 0;
        if (got == ARCHIVE_RETRY)
            continue;
        if (got < ARCHIVE_WARN)
            return archive_fault(u);
        if (offset < 0 || offset > size || length > (uint64_t)(size - offset))
            return unpack_refuse(u, path, "has data beyond its size");
        if (unpack_count_bytes(u, length) < 0)
            return -1;
        if (write_at(fd, data, length, offset) < 0)
            return unpack_failed(u, "writing", path);
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
        return unpack_failed(u, "making", path);
    if (unpack_content(u, fd, path, e) < 0 || set_metadata(u, fd, path, e) < 0)
        return -1;
    entry_times(e, times);
    if (futimens(fd, times) < 0)
        return unpack_failed(u, "setting the time of", path);
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

/* A hard link tells once more what its file is, and is right about it. */
static int unpack_link_metadata(struct unpack *u, int parent, const char *name,
                                const char *path, struct archive_entry *e) {
    struct timespec times[2];
    struct stat st;
    int fd CLEANUP(cleanup_close) =
        openat(parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return 0; /* only files have what could differ */
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
        place_target(u, path, target, target_name);
    if (from < 0)
        return -1;
    bool itself = fstatat(from, target_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
                  fstatat(parent, name, &old, AT_SYMLINK_NOFOLLOW) == 0 &&
                  old.st_ino == st.st_ino;
    if (!itself && unpack_make_way(u, parent, name) < 0)
        return -1;
    if (!itself && linkat(from, target_name, parent, name, 0) < 0)
        return errno == ENOENT
                   ? unpack_refuse(u, path,
                                   "is a hard link to what it replaces")
                   : unpack_failed(u, "linking", path);
    return unpack_link_metadata(u, parent, name, path, e);
}

/* A whiteout speaks of lower layers only: what this archive brings itself
 * stays. */
static int unpack_whiteout(struct unpack *u, int parent, const char *name,
                           const char *path) {
    struct stat st;
    if (strcmp(name, ".wh..opq") == 0)
        return place_hide_all(u, parent);
    if (strncmp(name, ".wh.", 4) == 0)
        return 0; /* aufs' own bookkeeping */
    if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return unpack_refuse(u, path, "hides what it must not");
    if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? place_hide(u, parent, name)
                               : unpack_failed(u, "hiding", path);
    if (!S_ISDIR(st.st_mode))
        return 0;
    int brought = place_is_brought(u, parent, name);
    if (brought == 1)
        return unpack_set_opaque(u, parent, name);
    return brought < 0 ? -1 : place_hide(u, parent, name);
}

/* Devices and whatever else there may be. What is below is replaced all the
 * same. */
static int leave_out(struct unpack *u, int parent, const char *name) {
    u->result->skipped++;
    if (unpack_make_way(u, parent, name) < 0)
        return -1;
    return u->o->whiteouts ? place_hide(u, parent, name) : 0;
}

static int unpack_named(struct unpack *u, const char *path,
                        struct archive_entry *e) {
    const char *name;
    int parent = place_parent(u, path, &name);
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
        if (unpack_make_way(u, parent, name) < 0)
            return -1;
        return unpack_file(u, parent, name, path, e);
    case AE_IFLNK:
    case AE_IFIFO:
        if (unpack_make_way(u, parent, name) < 0)
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

/* Disks and file systems often begin with zeros, which end a tar. */
static int finish(struct unpack *u) {
    const char *kind = u->begun && !u->beginning[0] ? other_kind(u) : NULL;
    if (kind)
        return refuse_kind(u, kind);
    return place_finish(u) < 0 ? -1 : set_directory_times(u);
}

static int unpack_all(struct unpack *u) {
    if (open_archive(u) < 0 || place_root(u) < 0)
        return -1;
    for (;;) {
        struct archive_entry *e;
        int got = archive_read_next_header(u->a, &e);
        if (got == ARCHIVE_EOF)
            return finish(u);
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
        buffer_init(&u->linked, 64 << 20);
        buffer_init(&u->implied, 64 << 20);
        status = unpack_all(u);
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
