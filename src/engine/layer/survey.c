/* survey.c: see survey.h. */
#define _GNU_SOURCE
#include "layer/survey.h"
#include "base/descriptor.h"
#include "base/scope.h"
#include "base/tree.h"
#include "layer/internal.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { SMALL_ENTRIES = 32, SMALL_DIRECTORY = 16384 };

struct hard_link {
    ino_t inode;
    int64_t bytes;
};

struct tally {
    struct survey sum;
    struct hard_link *links; /* of files with several names */
    size_t count, capacity;
    int64_t most; /* entries; 0: any number */
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

/* A directory that was large once takes long to read. */
static bool is_small(const struct stat *directory) {
    return directory->st_size <= SMALL_DIRECTORY;
}

static int count_entry(void *arg, int dir, const char *name,
                       const struct stat *st) {
    struct tally *v = arg;
    (void)dir;
    (void)name;
    v->sum.entries++;
    if (v->most &&
        (v->sum.entries > v->most || (S_ISDIR(st->st_mode) && !is_small(st)))) {
        errno = EFBIG;
        return -1;
    }
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

static int survey(int fd, int64_t most, struct survey *out, struct fault *f) {
    struct tally v = {.most = most};
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

int survey_tree(int fd, struct survey *out, struct fault *f) {
    return survey(fd, 0, out, f);
}

int workspace_survey(struct layers *l, const struct workspace *w,
                     struct survey *out, struct fault *f) {
    int fd CLEANUP(cleanup_close) = openat(l->dir_fd, w->upper, OPEN_DIRECTORY);
    if (fd < 0)
        return fault_errno(f, "reading %s", w->upper);
    return survey_tree(fd, out, f);
}

bool workspace_survey_small(struct layers *l, const struct workspace *w,
                            struct survey *out, bool *empty) {
    struct stat st;
    int fd CLEANUP(cleanup_close) = openat(l->dir_fd, w->upper, OPEN_DIRECTORY);
    return fd >= 0 && fstat(fd, &st) == 0 && is_small(&st) &&
           survey(fd, SMALL_ENTRIES, out, NULL) == 0 &&
           workspace_is_empty(l, w, empty, NULL) == 0;
}
