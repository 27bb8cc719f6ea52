/* owners.c: see owners.h. */
#define _GNU_SOURCE
#include "view/owners.h"
#include "base/descriptor.h"
#include "base/fd.h"
#include "base/scope.h"
#include "view/merge.h"
#include "view/view.h"
#include <stdlib.h>
#include <string.h>

/* Of /etc/passwd and /etc/group. */
#define MAX_NAMES_FILE (1 << 20)

static int compare_names(const void *a, const void *b) {
    const struct id_name *x = a, *y = b;
    if (x->id != y->id)
        return x->id > y->id ? 1 : -1;
    return (x->line > y->line) - (x->line < y->line);
}

static bool is_printable(const char *name) {
    for (const char *p = name; *p; p++)
        if (*p <= ' ' || *p > '~')
            return false;
    return *name;
}

/* Reads "name:x:id:...". */
static void add_name(struct id_names *n, char *line, uint32_t number) {
    char *name = strsep(&line, ":"), *end;
    strsep(&line, ":");
    const char *id = line ? strsep(&line, ":") : NULL;
    if (!id || *id < '0' || *id > '9' || !is_printable(name))
        return;
    unsigned long value = strtoul(id, &end, 10);
    if (*end || value > UINT32_MAX)
        return;
    if ((n->count & (n->count - 1)) == 0) {
        size_t capacity = n->count ? n->count * 2 : 1;
        struct id_name *more = realloc(n->list, capacity * sizeof *more);
        if (!more)
            return;
        n->list = more;
    }
    n->list[n->count++] = (struct id_name){(uint32_t)value, number, name};
}

/* A missing or damaged file gives no names. */
static void load_names(struct view *v, struct id_names *n, const char *path) {
    n->loaded = true;
    int fd CLEANUP(cleanup_close) = inspect_open(v, path, NULL, NULL);
    n->text = fd < 0 ? NULL : malloc(MAX_NAMES_FILE + 1);
    ssize_t length = n->text ? read_all(fd, n->text, MAX_NAMES_FILE) : -1;
    if (length < 0)
        return;
    n->text[length] = 0;
    char *rest = n->text, *line;
    uint32_t number = 0;
    while ((line = strsep(&rest, "\n")))
        add_name(n, line, number++);
    if (n->count)
        qsort(n->list, n->count, sizeof *n->list, compare_names);
}

/* The first line with the id counts: the list is sorted by id and line. */
static const char *find_name(const struct id_names *n, uint32_t id) {
    size_t low = 0, high = n->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (n->list[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < n->count && n->list[low].id == id ? n->list[low].name : NULL;
}

const char *view_user(struct view *v, uid_t uid) {
    if (!v->users.loaded)
        load_names(v, &v->users, "/etc/passwd");
    return find_name(&v->users, uid);
}

const char *view_group(struct view *v, gid_t gid) {
    if (!v->groups.loaded)
        load_names(v, &v->groups, "/etc/group");
    return find_name(&v->groups, gid);
}
