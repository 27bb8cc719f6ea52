/* gc.c: see gc.h. */
#define _GNU_SOURCE
#include "layer/gc.h"
#include "base/clock.h"
#include "base/descriptor.h"
#include "base/log.h"
#include "base/overlay.h"
#include "layer/trash.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A running operation that nobody asked for has no row, but its log is being
 * written. */
#define ORPHAN_LOG_SECONDS 86400
#define UNTOLD_SECONDS 86400
/* The rows of a table that one step looks at: the loop waits for a few
 * milliseconds. */
#define STEP_ROWS 200

struct gc {
    int dir_fd;
    struct store *store;
    struct layers *layers;
    struct gc_options options;
    struct gc_report report;
    struct gc_garbage garbage;
};

struct gc *gc_new(int dir_fd, struct store *s, struct layers *l,
                  const struct gc_options *o, struct fault *f) {
    struct gc *g = calloc(1, sizeof *g);
    if (!g) {
        fault_memory(f);
        return NULL;
    }
    *g = (struct gc){.dir_fd = dir_fd, .store = s, .layers = l, .options = *o};
    g->report.dry_run = o->dry_run;
    return g;
}

void gc_free(struct gc *g) {
    if (!g)
        return;
    gc_garbage_free(&g->garbage);
    free(g);
}

const struct gc_report *gc_result(const struct gc *g) {
    return &g->report;
}

/* Visits the entries of a directory. A missing directory is empty. */
static int each_entry(struct gc *g, const char *name,
                      int (*visit)(struct gc *g, const char *path,
                                   const char *entry, struct fault *f),
                      struct fault *f) {
    int fd = openat(g->dir_fd, name,
                    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *e;
    int result = 0;
    if (!d && fd >= 0)
        close_fd(fd);
    if (!d)
        return errno == ENOENT ? 0 : fault_errno(f, "reading %s", name);
    while (result == 0 && (errno = 0, e = readdir(d))) {
        char path[2 * NAME_MAX + 8];
        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%.255s/%s", name, e->d_name);
        result = visit(g, path, e->d_name, f);
    }
    if (result == 0 && errno)
        result = fault_errno(f, "reading %s", name);
    closedir(d);
    return result;
}

/* ---- uploaded contents ---- */

struct candidate {
    struct gc *g;
    const char *path;
    bool report;
};

static void discard_content(void *arg) {
    struct candidate *c = arg;
    struct stat st;
    if (fstatat(c->g->dir_fd, c->path, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return;
    if (!c->g->options.dry_run && trash_move(c->g->layers, c->path) < 0)
        return;
    c->g->report.files += c->report;
    c->g->report.file_bytes += c->report ? st.st_size : 0;
}

static int sweep_content(struct gc *g, const char *path, const char *entry,
                         struct fault *f) {
    struct candidate c = {g, path, true};
    return store_unless_file(g->store, entry, discard_content, &c, f);
}

static int sweep_contents(struct gc *g, const char *path, const char *entry,
                          struct fault *f) {
    (void)entry;
    return each_entry(g, path, sweep_content, f);
}

/* ---- logs ---- */

static bool has_suffix(const char *path, const char *suffix) {
    size_t length = strlen(path), n = strlen(suffix);
    return length >= n && strcmp(path + length - n, suffix) == 0;
}

static void discard_log(struct gc *g, const char *path) {
    struct stat st;
    if (fstatat(g->dir_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return;
    if (!g->options.dry_run && unlinkat(g->dir_fd, path, 0) < 0) {
        log_line("cannot remove %s: %s", path, strerror(errno));
        return;
    }
    g->report.logs += has_suffix(path, ".log"); /* not its spool, too */
    g->report.log_bytes += st.st_size;
}

static int sweep_log(struct gc *g, const char *path, const char *entry,
                     struct fault *f) {
    struct operation_row row;
    struct fault why;
    struct stat st;
    char uuid[UUID_SIZE];
    snprintf(uuid, sizeof uuid, "%.36s", entry);
    if (fstatat(g->dir_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
        st.st_mtim.tv_sec > time(NULL) - ORPHAN_LOG_SECONDS)
        return 0;
    if (store_operation_get(g->store, uuid, &row, &why) == 0) {
        operation_row_clear(&row);
        return 0;
    }
    if (why.status != 404)
        return fault_set(f, why.status, "%s", why.message);
    discard_log(g, path);
    return 0;
}

int gc_sweep(struct gc *g, struct fault *f) {
    if (each_entry(g, "b", sweep_contents, f) < 0)
        return -1;
    return each_entry(g, "e", sweep_log, f);
}

/* ---- rows, and what they were about ---- */

int gc_remove_rows(struct gc *g, const struct gc_pins *p, struct fault *f) {
    int64_t now = wall_microseconds();
    const struct gc_options *o = &g->options;
    struct gc_times t = {.untagged = now - o->untagged * 1000000,
                         .untold = now - UNTOLD_SECONDS * INT64_C(1000000),
                         .operations = now - o->operations * 1000000,
                         .files = now - o->files * 1000000,
                         .earliest = o->earliest * 1000000,
                         .now = now,
                         .rows = o->dry_run ? -1 : STEP_ROWS,
                         .at = g->garbage.at};
    gc_garbage_free(&g->garbage);
    if (o->dry_run)
        return store_count_garbage(g->store, &t, p, &g->report, f);
    return store_remove_garbage(g->store, &t, p, &g->report, &g->garbage, f);
}

static int discard_files(struct gc *g, struct fault *f) {
    for (size_t i = 0; i < g->garbage.file_count; i++) {
        const char *sha256 = g->garbage.files[i];
        char path[80];
        struct candidate c = {g, path, false};
        snprintf(path, sizeof path, "b/%.2s/%.64s", sha256, sha256);
        if (store_unless_file(g->store, sha256, discard_content, &c, f) < 0)
            return -1;
    }
    return 0;
}

int gc_finish(struct gc *g, struct fault *f) {
    const struct gc_garbage *all = &g->garbage;
    bool is_last = !all->more;
    if (g->options.dry_run ||
        (!is_last &&
         all->layer_count + all->file_count + all->operation_count == 0))
        return 0;
    /* After a power cut no row may be back whose layer is gone. */
    if (store_sync(g->store, f) < 0)
        return -1;
    for (size_t i = 0; i < g->garbage.layer_count; i++) {
        char path[32];
        layer_path(g->garbage.layers[i], path);
        trash_move(g->layers, path);
    }
    if (discard_files(g, f) < 0)
        return -1;
    for (size_t i = 0; i < g->garbage.operation_count; i++) {
        static const char *const kinds[] = {"log", "raw", "in"};
        for (int k = 0; k < 3; k++) {
            char path[64];
            snprintf(path, sizeof path, "e/%s.%s", g->garbage.operations[i],
                     kinds[k]);
            discard_log(g, path);
        }
    }
    trash_empty(g->layers);
    return 0;
}

bool gc_has_more(const struct gc *g) {
    return g->garbage.more;
}

int gc_run(int dir_fd, struct store *s, struct layers *l,
           const struct gc_options *o, struct gc_report *out, struct fault *f) {
    static const struct gc_pins nothing;
    struct gc *g = gc_new(dir_fd, s, l, o, f);
    int result = g ? gc_sweep(g, f) : -1;
    if (result == 0) {
        do
            result = gc_remove_rows(g, &nothing, f) < 0 ? -1 : gc_finish(g, f);
        while (result == 0 && gc_has_more(g));
    }
    if (g)
        *out = g->report;
    gc_free(g);
    return result;
}
