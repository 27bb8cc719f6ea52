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
/* Holes are left out of files that have this much of them, up to this many. */
#define SPARSE_FROM (1 << 20)
#define MAX_EXTENTS 10000

/* Which name of a file with several came first; a hash table that is empty
 * where name is 0. */
struct linked {
    ino_t inode;
    size_t name; /* 1 + offset in job.names */
};

struct job {
    struct view *v;
    struct walk *walk;
    const struct deadline *deadline;
    struct fault *f;
    size_t real;              /* length of the walk's own path */
    char named[INSPECT_PATH]; /* the path that was asked for, in its place */
    struct linked *linked;
    size_t linked_count, linked_size;
    struct buffer names, attributes;
    struct pax_extent *extents;
    size_t extent_count;
    char *block;
    struct pax pax;
};

static int output_fault(struct job *j) {
    return fault_errno(j->f, "writing an archive");
}

static int check_deadline(struct job *j) {
    if (j->deadline && deadline_is_over(j->deadline))
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

/* The walk's own path is replaced by the one that was asked for. Only the root
 * directory has no name. */
static void member_name(const struct job *j, const struct item *i,
                        char out[2 * INSPECT_PATH]) {
    const char *below = i->path + j->real;
    below += *below == '/';
    snprintf(out, 2 * INSPECT_PATH, "%s%s%s", j->named,
             *j->named && *below ? "/" : "", below);
}

static struct linked *linked_slot(struct linked *table, size_t size,
                                  ino_t inode) {
    size_t at = (size_t)(inode * 0x9e3779b97f4a7c15) % size;
    while (table[at].name && table[at].inode != inode)
        at = (at + 1) % size;
    return &table[at];
}

static int grow_linked(struct job *j) {
    size_t size = j->linked_size ? j->linked_size * 2 : 64;
    struct linked *table = calloc(size, sizeof *table);
    if (!table)
        return -1;
    for (size_t i = 0; i < j->linked_size; i++)
        if (j->linked[i].name)
            *linked_slot(table, size, j->linked[i].inode) = j->linked[i];
    free(j->linked);
    j->linked = table;
    j->linked_size = size;
    return 0;
}

/* Sets *first to the name under which the file is in the archive already, or to
 * NULL, and remembers this one. */
static int find_linked(struct job *j, const struct item *i, const char *name,
                       const char **first) {
    *first = NULL;
    if (!S_ISREG(i->st.st_mode) || i->st.st_nlink < 2)
        return 0;
    if (j->linked_count * 2 >= j->linked_size && grow_linked(j) < 0)
        return -1;
    struct linked *l = linked_slot(j->linked, j->linked_size, i->st.st_ino);
    if (l->name) {
        *first = j->names.data + l->name - 1;
        return 0;
    }
    *l = (struct linked){i->st.st_ino, j->names.length + 1};
    j->linked_count++;
    return buffer_add(&j->names, name, strlen(name) + 1) ? 0 : -1;
}

/* Finds where a file has data. 0 extents: everywhere. The last of too many
 * takes in all that follows. */
static void find_extents(struct job *j, const struct stat *st, int fd) {
    int64_t at = 0, size = st->st_size;
    j->extent_count = 0;
    if (size - (int64_t)st->st_blocks * 512 < SPARSE_FROM)
        return;
    while (at < size && j->extent_count < MAX_EXTENTS) {
        off_t begin = lseek(fd, at, SEEK_DATA);
        off_t end = begin < 0 ? -1 : lseek(fd, begin, SEEK_HOLE);
        if (begin < 0)
            break;
        at = end < begin || end > size || j->extent_count == MAX_EXTENTS - 1
                 ? size
                 : end;
        j->extents[j->extent_count++] = (struct pax_extent){begin, at};
    }
    /* By convention the map ends with the size. */
    if (at < size || j->extent_count == 0)
        j->extents[j->extent_count++] = (struct pax_extent){size, size};
}

/* A capability that is bound to the sandbox's root is everybody's there. */
static void add_capability(struct job *j, const void *value, size_t size) {
    struct vfs_cap_data cap;
    if (size < sizeof cap)
        return;
    memcpy(&cap, value, sizeof cap);
    cap.magic_etc = htole32(VFS_CAP_REVISION_2 |
                            (le32toh(cap.magic_etc) & VFS_CAP_FLAGS_MASK));
    pax_attribute(&j->attributes, CAPABILITY, &cap, sizeof cap);
}

static void add_attribute(struct job *j, int fd, const char *name) {
    static const char overlay[] = "user.overlay.", nested[] = "overlay.";
    const size_t prefix = sizeof overlay - 1, inner = sizeof nested - 1;
    char own[256];
    ssize_t size = fgetxattr(fd, name, j->block, BLOCK);
    if (size < 0)
        return;
    if (strcmp(name, CAPABILITY) == 0) {
        add_capability(j, j->block, (size_t)size);
    } else if (strncmp(name, overlay, prefix) == 0) {
        /* Overlay's own, but for what a program inside gave such a name. */
        if (strncmp(name + prefix, nested, inner) != 0)
            return;
        snprintf(own, sizeof own, "%s%s", overlay, name + prefix + inner);
        pax_attribute(&j->attributes, own, j->block, (size_t)size);
    } else if (strncmp(name, "user.", 5) == 0) {
        pax_attribute(&j->attributes, name, j->block, (size_t)size);
    }
}

static void find_attributes(struct job *j, int fd) {
    char names[65536];
    j->attributes.length = 0;
    ssize_t length = fd < 0 ? 0 : flistxattr(fd, names, sizeof names);
    for (char *name = names; length > 0 && name < names + length;
         name += strlen(name) + 1)
        add_attribute(j, fd, name);
}

static int write_extent(struct job *j, int fd, int64_t at, int64_t end) {
    while (at < end) {
        size_t most = end - at < BLOCK ? (size_t)(end - at) : BLOCK;
        ssize_t n = pread(fd, j->block, most, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            errno = n < 0 ? errno : EIO;
            return fault_errno(j->f, "reading a file of the image");
        }
        if (check_deadline(j) < 0)
            return -1;
        if (pax_data(&j->pax, j->block, (size_t)n) < 0)
            return output_fault(j);
        at += n;
    }
    return 0;
}

static int write_content(struct job *j, int fd, int64_t size) {
    struct pax_extent whole = {0, size}, *extents = &whole;
    size_t count = j->extent_count;
    int64_t length = 0;
    if (count)
        extents = j->extents;
    for (size_t i = 0; i < (count ? count : 1); i++) {
        if (write_extent(j, fd, extents[i].begin, extents[i].end) < 0)
            return -1;
        length += extents[i].end - extents[i].begin;
    }
    return pax_pad(&j->pax, length) < 0 ? output_fault(j) : 0;
}

static int write_member(struct job *j, const struct item *i, const char *name,
                        int fd) {
    struct pax_member m = {.name = name,
                           .st = &i->st,
                           .user = view_user(j->v, i->st.st_uid),
                           .group = view_group(j->v, i->st.st_gid),
                           .attributes = &j->attributes,
                           .extents = j->extents};
    bool file = S_ISREG(i->st.st_mode);
    if (find_linked(j, i, name, &m.hard_link) < 0)
        return fault_memory(j->f);
    file = file && !m.hard_link;
    j->extent_count = 0;
    if (file)
        find_extents(j, &i->st, fd);
    m.extent_count = j->extent_count;
    if (S_ISLNK(i->st.st_mode))
        m.symlink = i->target;
    find_attributes(j, m.hard_link ? -1 : fd);
    if (pax_member(&j->pax, &m) < 0)
        return output_fault(j);
    return file ? write_content(j, fd, i->st.st_size) : 0;
}

static int add_item(struct job *j, const struct item *i) {
    char name[2 * INSPECT_PATH];
    mode_t mode = i->st.st_mode;
    int fd CLEANUP(cleanup_close) = -1;
    member_name(j, i, name);
    if (check_deadline(j) < 0)
        return -1;
    if (!*name || S_ISSOCK(mode) || S_ISCHR(mode) || S_ISBLK(mode))
        return 0;
    if ((S_ISREG(mode) || S_ISDIR(mode)) && (fd = walk_open(j->walk, j->f)) < 0)
        return -1;
    return write_member(j, i, name, fd);
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

static int run(struct job *j) {
    struct item i;
    int more = walk_next(j->walk, &i, j->f);
    if (more < 1 || check_type(&i, j->f) < 0)
        return -1;
    j->real = strlen(i.path);
    for (; more == 1; more = walk_next(j->walk, &i, j->f))
        if (add_item(j, &i) < 0)
            return -1;
    if (more < 0)
        return -1;
    return pax_end(&j->pax) < 0 ? output_fault(j) : 0;
}

int inspect_archive(struct view *v, const char *path, int to,
                    const struct deadline *p, struct fault *f) {
    struct walk *walk = walk_begin(v, path, f);
    if (!walk)
        return -1;
    int result = -1;
    struct job *j = calloc(1, sizeof *j);
    if (j) {
        j->v = v;
        j->walk = walk;
        j->deadline = p;
        j->f = f;
        normalise(path, j->named);
        buffer_init(&j->names, SIZE_MAX / 2);
        buffer_init(&j->attributes, 32 << 20);
        pax_begin(&j->pax, to);
        j->block = malloc(BLOCK);
        j->extents = malloc((MAX_EXTENTS + 1) * sizeof *j->extents);
    }
    if (j && j->block && j->extents) {
        result = run(j);
    } else {
        fault_memory(f);
    }
    if (j) {
        buffer_free(&j->names);
        buffer_free(&j->attributes);
        free(j->linked);
        free(j->block);
        free(j->extents);
        free(j);
    }
    walk_end(walk);
    return result;
}
