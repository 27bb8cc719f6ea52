/* survey.c: see survey.h. */
#define _GNU_SOURCE
#include "layer/survey.h"
#include "base/descriptor.h"
#include "base/scope.h"
#include "base/tree.h"
#include "layer/internal.h"
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

struct hard_link {
    ino_t inode;
    int64_t bytes;
};

struct tally {
    struct survey sum;
    struct hard_link *links; /* of files with several names */
    size_t count, capacity;
};

static int64_t file_bytes(const struct stat *st) {
    int64_t allocated = (int64_t)st->st_blocks * 512;
    /* A small file may live in its inode and allocate nothing. */
    return st->st_size <= 4096 || st->st_size < allocated ? st->st_size
                                                          : allocated;
}

static int count_link(struct tally *v, const struct stat *st) {
    if (v->count == v->capacity) {
        size_t capacity = v->capacity ? v->capacity * 2 : 64;
        struct hard_link *more = realloc(v->links, capacity * sizeof *more);
        if (!more)
            return -1;
        v->links = more;
        v->capacity = capacity;
    }
    v->links[v->count++] =
        (struct hard_link){.inode = st->st_ino, .bytes = file_bytes(st)};
    return 0;
}

static int count_entry(void *arg, int dir, const char *name,
                       const struct stat *st) {
    struct tally *v = arg;
    (void)dir;
    (void)name;
    v->sum.entries++;
    if (!S_ISREG(st->st_mode))
        return 0;
    if (st->st_nlink > 1)
        return count_link(v, st);
    v->sum.bytes += file_bytes(st);
    return 0;
}

static int compare_links(const void *a, const void *b) {
    const struct hard_link *x = a, *y = b;
    return (x->inode > y->inode) - (x->inode < y->inode);
}

int survey_tree(int fd, struct survey *out, struct fault *f) {
    struct tally v = {0};
    int result = tree_walk(fd, count_entry, &v);
    if (result < 0)
        fault_errno(f, "reading the layer");
    if (v.count)
        qsort(v.links, v.count, sizeof *v.links, compare_links);
    for (size_t i = 0; i < v.count; i++)
        if (i == 0 || v.links[i].inode != v.links[i - 1].inode)
            v.sum.bytes += v.links[i].bytes;
    free(v.links);
    *out = v.sum;
    return result;
}

int workspace_survey(struct layers *l, const struct workspace *w,
                     struct survey *out, struct fault *f) {
    int fd CLEANUP(cleanup_close) = openat(l->dir_fd, w->upper, OPEN_DIRECTORY);
    if (fd < 0)
        return fault_errno(f, "reading %s", w->upper);
    return survey_tree(fd, out, f);
}
