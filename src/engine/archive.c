/* archive.c: a part of an image as tar (inspect.h). */
#define _GNU_SOURCE
#include "inspect.h"
#include <archive.h>
#include <archive_entry.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#define CAPABILITY "security.capability"
#define BLOCK (1 << 20)
/* Holes are worth a sparse member from here on, and up to this many of them. */
#define SPARSE_FROM (1 << 20)
#define SPARSE_EXTENTS 10000
/* libarchive is fed every byte of a hole: a larger file would take for ever. */
#define MAX_FILE (16LL << 40)

struct job {
    struct view *v;
    struct walk *walk;
    const struct patience *patience;
    struct fault *f;
    struct archive *a;
    struct archive_entry *entry;
    struct archive_entry_linkresolver *links;
    int to;
    size_t real;              /* length of the walk's own path */
    char named[INSPECT_PATH]; /* the path that was asked for, in its place */
    char *block, *zeros;
};

static la_ssize_t write_output(struct archive *a, void *arg, const void *data,
                               size_t length) {
    struct job *j = arg;
    if (write_all(j->to, data, length) == 0)
        return (la_ssize_t)length;
    archive_set_error(a, errno, "%s", strerror(errno));
    return -1;
}

static int archive_fault(struct job *j) {
    const char *why = archive_error_string(j->a);
    return fault_set(j->f, 500, "writing an archive: %.300s",
                     why ? why : "libarchive failed");
}

static int check_patience(struct job *j) {
    if (j->patience && patience_over(j->patience))
        return fault_set(j->f, 408, "the archive took longer than allowed");
    return 0;
}

/* "/a/./b/../c" is "a/c": what members are called must not lead anywhere. */
static void normalise(const char *path, char out[INSPECT_PATH]) {
    size_t used = 0;
    while (*path) {
        size_t length = strcspn(path, "/");
        bool dots = length == 2 && path[0] == '.' && path[1] == '.';
        if (dots) {
            while (used && out[--used] != '/')
                continue;
        } else if (length && !(length == 1 && path[0] == '.')) {
            if (used)
                out[used++] = '/';
            memcpy(out + used, path, length);
            used += length;
        }
        path += length + (path[length] == '/');
    }
    out[used] = 0;
}

/* The next stretch of data at or after `from`: [*begin, *end). */
static void next_data(int fd, int64_t from, int64_t size, int64_t *begin,
                      int64_t *end) {
    off_t data = lseek(fd, from, SEEK_DATA);
    if (data < 0)
        data = errno == ENXIO ? size : from;
    off_t hole = data < size ? lseek(fd, data, SEEK_HOLE) : size;
    *begin = data < size ? data : size;
    *end = hole > data && hole < size ? hole : size;
}

static bool is_sparse(const struct stat *st) {
    return st->st_size - (int64_t)st->st_blocks * 512 >= SPARSE_FROM;
}

static void describe_holes(struct job *j, int fd, int64_t size) {
    int64_t at = 0, begin, end;
    for (int i = 0; i < SPARSE_EXTENTS && at < size; i++) {
        next_data(fd, at, size, &begin, &end);
        if (i == SPARSE_EXTENTS - 1)
            end = size;
        archive_entry_sparse_add_entry(j->entry, begin, end - begin);
        at = end;
    }
}

/* A capability that is bound to the sandbox's root is everybody's there. */
static void add_capability(struct job *j, const void *value, size_t size) {
    struct vfs_cap_data cap;
    if (size < sizeof cap)
        return;
    memcpy(&cap, value, sizeof cap);
    cap.magic_etc = htole32(VFS_CAP_REVISION_2 |
                            (le32toh(cap.magic_etc) & VFS_CAP_FLAGS_MASK));
    archive_entry_xattr_add_entry(j->entry, CAPABILITY, &cap, sizeof cap);
}

static void add_attribute(struct job *j, int fd, const char *name) {
    static const char overlay[] = "user.overlay.", nested[] = "overlay.";
    char value[65536], own[256];
    ssize_t size = fgetxattr(fd, name, value, sizeof value);
    if (size < 0)
        return;
    if (strcmp(name, CAPABILITY) == 0)
        add_capability(j, value, (size_t)size);
    else if (strncmp(name, "user.", 5) != 0)
        return;
    else if (strncmp(name, overlay, sizeof overlay - 1) != 0)
        archive_entry_xattr_add_entry(j->entry, name, value, (size_t)size);
    else if (strncmp(name + sizeof overlay - 1, nested, sizeof nested - 1) ==
             0) {
        /* How overlay stores what a program inside gave such a name. */
        snprintf(own, sizeof own, "%s%s", overlay,
                 name + sizeof overlay + sizeof nested - 2);
        archive_entry_xattr_add_entry(j->entry, own, value, (size_t)size);
    }
}

static void add_attributes(struct job *j, int fd) {
    char names[65536];
    ssize_t length = flistxattr(fd, names, sizeof names);
    for (char *name = names; length > 0 && name < names + length;
         name += strlen(name) + 1)
        add_attribute(j, fd, name);
}

/* The walk's own path is replaced by the one that was asked for. Only the root
 * directory has no name. */
static void member_name(const struct job *j, const struct item *i,
                        char out[2 * INSPECT_PATH]) {
    const char *below = i->path + j->real;
    below += *below == '/';
    snprintf(out, 2 * INSPECT_PATH, "%s%s%s", j->named,
             *j->named && *below ? "/" : "", below);
}

/* Everything but the content. */
static void describe(struct job *j, const struct item *i, int fd,
                     const char *name) {
    struct archive_entry *e = archive_entry_clear(j->entry);
    const char *user = view_user(j->v, i->st.st_uid);
    const char *group = view_group(j->v, i->st.st_gid);
    archive_entry_copy_stat(e, &i->st);
    archive_entry_unset_atime(e);
    archive_entry_unset_ctime(e);
    archive_entry_unset_birthtime(e);
    archive_entry_copy_pathname(e, name);
    if (user)
        archive_entry_copy_uname(e, user);
    if (group)
        archive_entry_copy_gname(e, group);
    if (S_ISLNK(i->st.st_mode))
        archive_entry_copy_symlink(e, i->target);
    if (fd >= 0)
        add_attributes(j, fd);
    if (S_ISREG(i->st.st_mode) && is_sparse(&i->st))
        describe_holes(j, fd, i->st.st_size);
}

static int write_piece(struct job *j, const char *data, int64_t length) {
    if (check_patience(j) < 0)
        return -1;
    return archive_write_data(j->a, data, (size_t)length) < 0 ? archive_fault(j)
                                                              : 0;
}

static int64_t piece(int64_t from, int64_t to) {
    return to - from < BLOCK ? to - from : BLOCK;
}

static int write_data(struct job *j, int fd, int64_t at, int64_t end) {
    while (at < end) {
        ssize_t n = pread(fd, j->block, (size_t)piece(at, end), at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            errno = n < 0 ? errno : EIO;
            return fault_errno(j->f, "reading a file of the image");
        }
        if (write_piece(j, j->block, n) < 0)
            return -1;
        at += n;
    }
    return 0;
}

static int write_content(struct job *j, int fd, int64_t size) {
    int64_t at = 0, begin, end;
    while (at < size) {
        next_data(fd, at, size, &begin, &end);
        for (; at < begin; at += piece(at, begin))
            if (write_piece(j, j->zeros, piece(at, begin)) < 0)
                return -1;
        if (write_data(j, fd, begin, end) < 0)
            return -1;
        at = end;
    }
    return 0;
}

static int write_member(struct job *j, const struct item *i, int fd) {
    struct archive_entry *e = j->entry, *spare = NULL;
    /* The second name of a file becomes a hard link without content. */
    archive_entry_linkify(j->links, &e, &spare);
    int done = archive_write_header(j->a, e);
    if (done < ARCHIVE_FAILED)
        return archive_fault(j);
    if (done == ARCHIVE_FAILED) {
        log_line("archive: left out /%.200s: %s", i->path,
                 archive_error_string(j->a));
        return 0;
    }
    if (!S_ISREG(i->st.st_mode) || archive_entry_hardlink(e))
        return 0;
    return write_content(j, fd, i->st.st_size);
}

static int add_item(struct job *j, const struct item *i) {
    char name[2 * INSPECT_PATH];
    mode_t mode = i->st.st_mode;
    int fd CLEANUP(cleanup_close) = -1;
    member_name(j, i, name);
    if (!*name || S_ISSOCK(mode) || S_ISCHR(mode) || S_ISBLK(mode))
        return check_patience(j);
    if (S_ISREG(mode) && i->st.st_size > MAX_FILE)
        return fault_set(j->f, 422, "/%.300s is larger than 16 TiB", i->path);
    if ((S_ISREG(mode) || S_ISDIR(mode)) && (fd = walk_open(j->walk, j->f)) < 0)
        return -1;
    describe(j, i, fd, name);
    if (check_patience(j) < 0)
        return -1;
    return write_member(j, i, fd);
}

/* restricted: extended headers where they are needed only. */
static int open_output(struct job *j) {
    j->a = archive_write_new();
    j->entry = archive_entry_new();
    j->links = archive_entry_linkresolver_new();
    j->block = malloc(BLOCK);
    j->zeros = calloc(1, BLOCK);
    if (!j->a || !j->entry || !j->links || !j->block || !j->zeros)
        return fault_set(j->f, 500, "out of memory");
    if (archive_write_set_format_pax_restricted(j->a) != ARCHIVE_OK ||
        archive_write_set_bytes_per_block(j->a, 64 << 10) != ARCHIVE_OK ||
        archive_write_set_bytes_in_last_block(j->a, 1) != ARCHIVE_OK ||
        archive_write_open(j->a, j, NULL, write_output, NULL) != ARCHIVE_OK)
        return archive_fault(j);
    archive_entry_linkresolver_set_strategy(j->links, archive_format(j->a));
    return 0;
}

static int run(struct job *j) {
    struct item i;
    int more = walk_next(j->walk, &i, j->f);
    if (more < 1)
        return -1;
    if (!S_ISREG(i.st.st_mode) && !S_ISDIR(i.st.st_mode))
        return fault_set(j->f, 422, "neither a file nor a directory: /%.300s",
                         i.path);
    j->real = strlen(i.path);
    if (open_output(j) < 0)
        return -1;
    for (; more == 1; more = walk_next(j->walk, &i, j->f))
        if (add_item(j, &i) < 0)
            return -1;
    if (more < 0)
        return -1;
    return archive_write_close(j->a) == ARCHIVE_OK ? 0 : archive_fault(j);
}

int inspect_archive(struct view *v, const char *path, int to,
                    const struct patience *p, struct fault *f) {
    struct job j = {.v = v, .patience = p, .f = f, .to = to};
    j.walk = walk_begin(v, path, f);
    if (!j.walk)
        return -1;
    normalise(path, j.named);
    /* libarchive converts names from the locale's charset: ours for this
     * thread, whatever the process has. */
    locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", NULL);
    locale_t before = utf8 ? uselocale(utf8) : NULL;
    int result = run(&j);
    /* What was not closed must not be completed by the free. */
    if (result < 0 && j.a)
        archive_write_fail(j.a);
    archive_write_free(j.a);
    archive_entry_linkresolver_free(j.links);
    archive_entry_free(j.entry);
    free(j.block);
    free(j.zeros);
    walk_end(j.walk);
    if (utf8) {
        uselocale(before);
        freelocale(utf8);
    }
    return result;
}
