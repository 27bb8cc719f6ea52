/* view.c: see view.h. */
#define _GNU_SOURCE
#include "view/view.h"
#include "base/descriptor.h"
#include "base/fd.h"
#include "base/scope.h"
#include "view/merge.h"
#include "view/resolve.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct view *view_open(int dir_fd, const int64_t *layers, size_t count,
                       struct id_range ids, struct fault *f) {
    struct view *v = calloc(1, sizeof *v + (count + 1) * sizeof *v->layers);
    if (!v) {
        fault_memory(f);
        return NULL;
    }
    v->dir_fd = dir_fd;
    v->ids = ids;
    v->count = count + 1;
    if (count)
        memcpy(v->layers, layers, count * sizeof *layers);
    v->prefix_length = (size_t)snprintf(v->prefix, sizeof v->prefix,
                                        "/proc/self/fd/%d/", dir_fd);
    for (size_t i = 0; i < v->count; i++) {
        struct stat st;
        if (view_stat_entry(v, (uint32_t)i, "", &st) == 1)
            continue;
        fault_errno(f, "layer %lld is missing", (long long)v->layers[i]);
        view_close(v);
        return NULL;
    }
    return v;
}

void view_close(struct view *v) {
    if (!v)
        return;
    free(v->users.text);
    free(v->users.list);
    free(v->groups.text);
    free(v->groups.list);
    free(v);
}

int inspect_stat(struct view *v, const char *path, bool follow,
                 struct item *out, struct fault *f) {
    struct resolved p;
    int result = resolve_path(v, path, follow, &p, f);
    if (result == 0) {
        memcpy(v->path, p.path, p.length + 1);
        result = view_describe(v, v->path, &p.node, v->target, out, f);
    }
    resolved_free(&p);
    return result;
}

int inspect_open(struct view *v, const char *path, struct stat *st,
                 struct fault *f) {
    struct resolved p;
    int fd CLEANUP(cleanup_close) = -1;
    int result = resolve_path(v, path, true, &p, f);
    if (result == 0 && !S_ISREG(p.node.st.st_mode))
        result = fault_set(f, 422, "not a regular file: %.300s", path);
    if (result == 0 && (fd = view_open_entry(v, p.node.layer, p.path, 0)) < 0)
        result = fault_errno(f, "opening %.300s", path);
    if (st)
        *st = p.node.st;
    resolved_free(&p);
    return result < 0 ? -1 : steal_fd(&fd);
}
