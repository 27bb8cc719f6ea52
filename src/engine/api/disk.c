/* disk.c: GET /disk: what the disk is used for, an extension (http-api.md
 * §4.24). */
#define _GNU_SOURCE
#include "api/api.h"
#include "api/routes.h"
#include "base/buffer.h"
#include "base/descriptor.h"
#include "base/fault.h"
#include "base/scope.h"
#include "base/tree.h"
#include "base/work.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

struct disk_request {
    struct job job;
    struct request *request;
    struct store_totals totals;
    int64_t database_bytes, free_bytes, total_bytes;
    struct fault fault; /* status 0: none */
};

static int add_size(void *arg, int dir, const char *name,
                    const struct stat *st) {
    (void)dir;
    (void)name;
    *(int64_t *)arg += st->st_size;
    return 0;
}

/* Logs beyond a megabyte are files, and so are pieces of streams. */
static void add_logs(int dir_fd, int64_t *bytes) {
    int logs CLEANUP(cleanup_close) =
        openat(dir_fd, "e", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (logs >= 0 && tree_walk(logs, add_size, bytes) < 0)
        errno = 0; /* one went meanwhile: the sum is of those before it */
}

static void work(struct job *j) {
    struct disk_request *d = (struct disk_request *)j;
    static const char *const files[] = {"contree.db", "contree.db-wal"};
    const struct engine *e = job_engine(j);
    struct statvfs v;
    struct stat st;
    if (store_totals(e->store, &d->totals, &d->fault) < 0)
        return;
    add_logs(e->dir_fd, &d->totals.log_bytes);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (fstatat(e->dir_fd, files[i], &st, AT_SYMLINK_NOFOLLOW) == 0)
            d->database_bytes += st.st_size;
    if (fstatvfs(e->dir_fd, &v) == 0) {
        d->free_bytes = (int64_t)v.f_bavail * (int64_t)v.f_frsize;
        d->total_bytes = (int64_t)v.f_blocks * (int64_t)v.f_frsize;
    }
}

static void write_kind(struct buffer *b, const char *name, int64_t count,
                       int64_t bytes) {
    json_open(b, name, '{');
    json_add_int(b, "count", count);
    json_add_int(b, "bytes", bytes);
    json_close(b, '}');
}

static void write_disk(struct buffer *b, const struct disk_request *d) {
    const struct store_totals *t = &d->totals;
    json_open(b, NULL, '{');
    json_open(b, "images", '{');
    json_add_int(b, "count", t->images);
    json_add_int(b, "tagged", t->tagged);
    json_close(b, '}');
    write_kind(b, "layers", t->layers, t->layer_bytes);
    write_kind(b, "files", t->files, t->file_bytes);
    write_kind(b, "volumes", t->volumes, t->volume_bytes);
    write_kind(b, "operations", t->operations, t->log_bytes);
    json_add_int(b, "database_bytes", d->database_bytes);
    json_add_int(b, "free_bytes", d->free_bytes);
    json_add_int(b, "total_bytes", d->total_bytes);
    json_close(b, '}');
}

static void done(struct job *j) {
    struct disk_request *d = (struct disk_request *)j;
    struct buffer b;
    if (d->fault.status) {
        reply_fault(d->request, &d->fault);
    } else {
        buffer_init(&b, 4096);
        write_disk(&b, d);
        reply_json(d->request, 200, &b);
    }
    free(d);
}

static void disk_get(struct request *r) {
    struct fault f;
    struct disk_request *d = calloc(1, sizeof *d);
    if (!d) {
        fault_memory(&f);
        reply_fault(r, &f);
        return;
    }
    d->request = r;
    job_start(&request_engine(r)->workers, &d->job, work, done);
}

const struct route disk_routes[] = {
    {"GET", "disk", .handle = disk_get},
    {.method = NULL},
};
