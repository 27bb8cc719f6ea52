/* entries.c: see entries.h. */
#define _GNU_SOURCE
#include "view/entries.h"
#include "base/descriptor.h"
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void entries_free(struct entries *e) {
    buffer_free(&e->text);
    free(e->list);
    *e = (struct entries){0};
}

void entries_init(struct entries *e) {
    *e = (struct entries){0};
    buffer_init(&e->text, SIZE_MAX / 2);
}

static int add_entry(struct entries *e, const char *name, uint32_t position) {
    if (e->count == e->capacity) {
        size_t capacity = e->capacity ? e->capacity * 2 : 32;
        struct entry_name *more = realloc(e->list, capacity * sizeof *more);
        if (!more)
            return -1;
        e->list = more;
        e->capacity = capacity;
    }
    size_t at = e->text.length;
    if (!buffer_add(&e->text, name, strlen(name) + 1))
        return -1;
    e->list[e->count++] = (struct entry_name){at, position};
    return 0;
}

int entries_read(struct entries *e, int fd, uint32_t position) {
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        drop_fd(&fd);
        return -1;
    }
    struct dirent *x;
    int result = 0;
    errno = 0;
    while (result == 0 && (x = readdir(d))) {
        if (strcmp(x->d_name, ".") == 0 || strcmp(x->d_name, "..") == 0)
            continue;
        if (e->count == ENTRIES_MAX)
            errno = EFBIG;
        if (e->count == ENTRIES_MAX || add_entry(e, x->d_name, position) < 0)
            result = -1;
    }
    int error = errno;
    closedir(d);
    errno = error;
    return error ? -1 : result;
}

static int compare_entries(const void *a, const void *b, void *text) {
    const struct entry_name *x = a, *y = b;
    int order = strcmp((char *)text + x->name, (char *)text + y->name);
    if (order)
        return order;
    return (x->position > y->position) - (x->position < y->position);
}

void entries_sort(struct entries *e) {
    if (e->count == 0)
        return;
    qsort_r(e->list, e->count, sizeof *e->list, compare_entries, e->text.data);
    size_t kept = 1;
    for (size_t i = 1; i < e->count; i++)
        if (strcmp(e->text.data + e->list[i].name,
                   e->text.data + e->list[kept - 1].name) != 0)
            e->list[kept++] = e->list[i];
    e->count = kept;
}
