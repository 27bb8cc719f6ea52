/* archive.c: see archive.h. */
#define _GNU_SOURCE
#include "view/archive.h"
#include "base/buffer.h"
#include "base/descriptor.h"
#include "base/fault.h"
#include "base/pax.h"
#include "base/scope.h"
#include "view/owners.h"
#include "view/walk.h"
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#define CAPABILITY "security.capability"
#define BLOCK (1 << 20)
/* A file with this many bytes of holes is written without them, in at most so
 * many extents. */
#define SPARSE_FROM (1 << 20)
#define MAX_EXTENTS 10000

/* The first name of a file that has several: a slot of a hash table, empty when
 * name is 0. */
struct first_name {
    ino_t inode;
    size_t name; /* 1 + offset in archiver.names */
};

struct archiver {
    struct view *v;
    struct walk *walk;
    const struct deadline *deadline;
    struct fault *f;
    size_t real;              /* length of the path that the walk begins at */
    char named[INSPECT_PATH]; /* what members' names have in its place */
    struct first_name *linked;
    size_t linked_count, linked_size;
    struct buffer names, attributes;
    struct pax_extent *extents;
    size_t extent_count;
    char *block;
    struct pax pax;
};

static int output_fault(struct archiver *a) {
    return fault_errno(a->f, "writing an archive");
}

static int check_deadline(struct archiver *a) {
    if (a->deadline && deadline_is_over(a->deadline))
        return fault_set(a->f, 408, "the archive took longer than allowed");
    return 0;
}

/* "/a/./b/../c" becomes "a/c": a name in an archive must not have "..". */
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

/* The walk's real path is replaced by the one that was asked for. Only the root
 * directory gets no name. */
static void member_name(const struct archiver *a, const struct item *i,
                        char out[2 * INSPECT_PATH]) {
    const char *below = i->path + a->real;
    below += *below == '/';
    snprintf(out, 2 * INSPECT_PATH, "%s%s%s", a->named,
             *a->named && *below ? "/" : "", below);
}

static struct first_name *find_slot(struct first_name *table, size_t size,
                                    ino_t inode) {
    size_t at = (size_t)(inode * 0x9e3779b97f4a7c15) % size;
    while (table[at].name && table[at].inode != inode)
        at = (at + 1) % size;
    return &table[at];
}

static int grow_table(struct archiver *a) {
    size_t size = a->linked_size ? a->linked_size * 2 : 64;
    struct first_name *table = calloc(size, sizeof *table);
    if (!table)
        return -1;
    for (size_t i = 0; i < a->linked_size; i++)
        if (a->linked[i].name)
            *find_slot(table, size, a->linked[i].inode) = a->linked[i];
    free(a->linked);
    a->linked = table;
    a->linked_size = size;
    return 0;
}

/* Set *first to the name that the file has in the archive already. A file that
 * is new gets NULL, and its name is remembered. */
static int find_first_name(struct archiver *a, const struct item *i,
                           const char *name, const char **first) {
    *first = NULL;
    if (!S_ISREG(i->st.st_mode) || i->st.st_nlink < 2)
        return 0;
    if (a->linked_count * 2 >= a->linked_size && grow_table(a) < 0)
        return -1;
    struct first_name *l = find_slot(a->linked, a->linked_size, i->st.st_ino);
    if (l->name) {
        *first = a->names.data + l->name - 1;
        return 0;
    }
    *l = (struct first_name){i->st.st_ino, a->names.length + 1};
    a->linked_count++;
    return buffer_add(&a->names, name, strlen(name) + 1) ? 0 : -1;
}

/* Find where a file has data. 0 extents: everywhere. When there are too many
 * the last one covers the rest of the file. */
static void find_extents(struct archiver *a, const struct stat *st, int fd) {
    int64_t at = 0, size = st->st_size;
    a->extent_count = 0;
    if (size - (int64_t)st->st_blocks * 512 < SPARSE_FROM)
        return;
    while (at < size && a->extent_count < MAX_EXTENTS) {
        off_t begin = lseek(fd, at, SEEK_DATA);
        off_t end = begin < 0 ? -1 : lseek(fd, begin, SEEK_HOLE);
        if (begin < 0)
            break;
        at = end < begin || end > size || a->extent_count == MAX_EXTENTS - 1
                 ? size
                 : end;
        a->extents[a->extent_count++] = (struct pax_extent){begin, at};
    }
    /* By convention the map ends with the size. */
    if (at < size || a->extent_count == 0)
        a->extents[a->extent_count++] = (struct pax_extent){size, size};
}

/* A layer binds capabilities to the sandbox's root; an archive has them for any
 * root. */
static void add_capability(struct archiver *a, const void *value, size_t size) {
    struct vfs_cap_data cap;
    if (size < sizeof cap)
        return;
    memcpy(&cap, value, sizeof cap);
    cap.magic_etc = htole32(VFS_CAP_REVISION_2 |
                            (le32toh(cap.magic_etc) & VFS_CAP_FLAGS_MASK));
    pax_attribute(&a->attributes, CAPABILITY, &cap, sizeof cap);
}

static void add_attribute(struct archiver *a, int fd, const char *name) {
    static const char overlay[] = "user.overlay.", nested[] = "overlay.";
    const size_t prefix = sizeof overlay - 1, inner = sizeof nested - 1;
    char own[256];
    ssize_t size = fgetxattr(fd, name, a->block, BLOCK);
    if (size < 0)
        return;
    if (strcmp(name, CAPABILITY) == 0) {
        add_capability(a, a->block, (size_t)size);
    } else if (strncmp(name, overlay, prefix) == 0) {
        /* Skip overlay's own, but keep what a program in a sandbox gave such a
         * name. */
        if (strncmp(name + prefix, nested, inner) != 0)
            return;
        snprintf(own, sizeof own, "%s%s", overlay, name + prefix + inner);
        pax_attribute(&a->attributes, own, a->block, (size_t)size);
    } else if (strncmp(name, "user.", 5) == 0) {
        pax_attribute(&a->attributes, name, a->block, (size_t)size);
    }
}

static void find_attributes(struct archiver *a, int fd) {
    char names[65536];
    a->attributes.length = 0;
    ssize_t length = fd < 0 ? 0 : flistxattr(fd, names, sizeof names);
    for (char *name = names; length > 0 && name < names + length;
         name += strlen(name) + 1)
        add_attribute(a, fd, name);
}

static int write_extent(struct archiver *a, int fd, int64_t at, int64_t end) {
    while (at < end) {
        size_t most = end - at < BLOCK ? (size_t)(end - at) : BLOCK;
        ssize_t n = pread(fd, a->block, most, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            errno = n < 0 ? errno : EIO;
            return fault_errno(a->f, "reading a file of the image");
        }
        if (check_deadline(a) < 0)
            return -1;
        if (pax_data(&a->pax, a->block, (size_t)n) < 0)
            return output_fault(a);
        at += n;
    }
    return 0;
}

static int write_content(struct archiver *a, int fd, int64_t size) {
    struct pax_extent whole = {0, size}, *extents = &whole;
    size_t count = a->extent_count;
    int64_t length = 0;
    if (count)
        extents = a->extents;
    for (size_t i = 0; i < (count ? count : 1); i++) {
        if (write_extent(a, fd, extents[i].begin, extents[i].end) < 0)
            return -1;
        length += extents[i].end - extents[i].begin;
    }
    return pax_pad(&a->pax, length) < 0 ? output_fault(a) : 0;
}

static int write_member(struct archiver *a, const struct item *i,
                        const char *name, int fd) {
    struct pax_member m = {.name = name,
                           .st = &i->st,
                           .user = view_user(a->v, i->st.st_uid),
                           .group = view_group(a->v, i->st.st_gid),
                           .attributes = &a->attributes,
                           .extents = a->extents};
    bool file = S_ISREG(i->st.st_mode);
    if (find_first_name(a, i, name, &m.hard_link) < 0)
        return fault_memory(a->f);
    file = file && !m.hard_link;
    a->extent_count = 0;
    if (file)
        find_extents(a, &i->st, fd);
    m.extent_count = a->extent_count;
    if (S_ISLNK(i->st.st_mode))
        m.symlink = i->target;
    find_attributes(a, m.hard_link ? -1 : fd);
    if (pax_member(&a->pax, &m) < 0)
        return output_fault(a);
    return file ? write_content(a, fd, i->st.st_size) : 0;
}

static int add_item(struct archiver *a, const struct item *i) {
    char name[2 * INSPECT_PATH];
    mode_t mode = i->st.st_mode;
    int fd CLEANUP(cleanup_close) = -1;
    member_name(a, i, name);
    if (check_deadline(a) < 0)
        return -1;
    if (!*name || S_ISSOCK(mode) || S_ISCHR(mode) || S_ISBLK(mode))
        return 0;
    if ((S_ISREG(mode) || S_ISDIR(mode)) && (fd = walk_open(a->walk, a->f)) < 0)
        return -1;
    return write_member(a, i, name, fd);
}

static int check_type(const struct item *i, struct fault *f) {
    if (S_ISREG(i->st.st_mode) || S_ISDIR(i->st.st_mode))
        return 0;
    return fault_set(f, 422, "neither a file nor a directory: /%.300s",
                     i->path);
}

static int check_item(const struct item *i, enum archive_kind kind,
                      struct fault *f) {
    if (kind == ARCHIVE_TAR || strncmp(i->name, ".wh.", 4) != 0)
        return 0;
    return fault_set(f, 422,
                     "/%.250s: in a layer of a container image a name that "
                     "begins with .wh. removes a file. Rename it, or export "
                     "the image as a tar (-o FILE)",
                     i->path);
}

int inspect_can_archive(struct view *v, const char *path,
                        enum archive_kind kind, const struct deadline *p,
                        struct fault *f) {
    struct walk *w = walk_begin(v, path, f);
    struct item i;
    if (!w)
        return -1;
    int more = walk_next(w, &i, f);
    if (more == 1 && check_type(&i, f) < 0)
        more = -1;
    for (; more == 1; more = walk_next(w, &i, f))
        if (deadline_check(p, "the archive", f) < 0 ||
            check_item(&i, kind, f) < 0)
            break;
    walk_end(w);
    return more == 0 ? 0 : -1;
}

static int run(struct archiver *a) {
    struct item i;
    int more = walk_next(a->walk, &i, a->f);
    if (more < 1 || check_type(&i, a->f) < 0)
        return -1;
    a->real = strlen(i.path);
    for (; more == 1; more = walk_next(a->walk, &i, a->f))
        if (add_item(a, &i) < 0)
            return -1;
    if (more < 0)
        return -1;
    return pax_end(&a->pax) < 0 ? output_fault(a) : 0;
}

int inspect_archive(struct view *v, const char *path, int to,
                    const struct deadline *p, struct fault *f) {
    struct walk *walk = walk_begin(v, path, f);
    if (!walk)
        return -1;
    int result = -1;
    struct archiver *a = calloc(1, sizeof *a);
    if (a) {
        a->v = v;
        a->walk = walk;
        a->deadline = p;
        a->f = f;
        normalise(path, a->named);
        buffer_init(&a->names, SIZE_MAX / 2);
        buffer_init(&a->attributes, 32 << 20);
        pax_begin(&a->pax, to);
        a->block = malloc(BLOCK);
        a->extents = malloc((MAX_EXTENTS + 1) * sizeof *a->extents);
    }
    if (a && a->block && a->extents) {
        result = run(a);
    } else {
        fault_memory(f);
    }
    if (a) {
        buffer_free(&a->names);
        buffer_free(&a->attributes);
        free(a->linked);
        free(a->block);
        free(a->extents);
        free(a);
    }
    walk_end(walk);
    return result;
}
