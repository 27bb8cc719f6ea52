/* disk.c: runs that write too much, found while they run. */
#include "operation/internal.h"
#include <stdlib.h>
#include <sys/statvfs.h>

/* A run is stopped when it takes the last of the disk: the store needs some to
 * go on. */
#define SPARE_BYTES (UINT64_C(256) << 20)

void operation_note_free_space(struct operation *op) {
    struct statvfs v;
    if (fstatvfs(op->all->engine->dir_fd, &v) < 0)
        return;
    op->free_at_start = (uint64_t)v.f_bavail * v.f_frsize;
    op->inodes_at_start = v.f_favail;
}

int operation_check_layer(const struct operation *op, int64_t bytes,
                          int64_t entries, struct fault *f) {
    int64_t limit = op->run.max_layer_bytes;
    if (bytes > limit)
        return fault_set(f, 507,
                         "the run wrote %lld bytes, more than "
                         "max_layer_bytes = %lld",
                         (long long)bytes, (long long)limit);
    if (entries > LAYER_NAMES_MIN && entries > limit / LAYER_BYTES_A_NAME)
        return fault_set(f, 507,
                         "the run made %lld files, more than max_layer_bytes "
                         "= %lld allows at %d bytes each",
                         (long long)entries, (long long)limit,
                         LAYER_BYTES_A_NAME);
    return 0;
}

struct measure {
    struct job job;
    struct operation *op;
    int64_t bytes, entries;
    uint64_t free_now;
    int result;
};

static void measure_work(struct job *j) {
    struct measure *m = (struct measure *)j;
    m->result = workspace_size(m->op->all->engine->layers, &m->op->workspace,
                               &m->bytes, &m->entries, NULL);
}

/* Too much for its own limit, or for the disk's sake when most of what is
 * missing there is its doing. */
static void measure_done(struct job *j) {
    struct measure *m = (struct measure *)j;
    struct operation *op = m->op;
    struct fault why = {.status = 0};
    op->measuring = false;
    if (m->result == 0 &&
        operation_check_layer(op, m->bytes, m->entries, &why) < 0)
        op->layer_full = true;
    else if (m->result == 0 && m->free_now < SPARE_BYTES &&
             (uint64_t)m->bytes > (op->free_at_start - m->free_now) / 2)
        fault_set(&why, 507,
                  "the run wrote %lld bytes and left less than %llu free on "
                  "the disk",
                  (long long)m->bytes, (unsigned long long)SPARE_BYTES);
    if (why.status && op->sandbox)
        operation_abort(op, "disk", &why);
    operation_unref(op);
    free(m);
}

static void measure_run(struct operation *op, uint64_t free_now) {
    struct measure *m = calloc(1, sizeof *m);
    if (!m)
        return;
    m->op = op;
    m->free_now = free_now;
    op->references++;
    op->measuring = true;
    job_start(&op->all->engine->workers, &m->job, measure_work, measure_done);
}

static uint64_t fallen(uint64_t from, uint64_t to) {
    return from > to ? from - to : 0;
}

/* The free space of the whole disk tells cheaply that nobody has written much;
 * only if somebody has are the workspaces measured. */
void operations_watch_disk(struct operations *all) {
    struct statvfs v;
    if (fstatvfs(all->engine->dir_fd, &v) < 0)
        return;
    uint64_t free_now = (uint64_t)v.f_bavail * v.f_frsize;
    for (struct operation *op = all->active; op; op = op->next) {
        uint64_t limit = (uint64_t)op->run.max_layer_bytes;
        uint64_t gone = fallen(op->free_at_start, free_now);
        uint64_t names = fallen(op->inodes_at_start, v.f_favail);
        if (!op->sandbox || op->concluded || op->measuring)
            continue;
        if (event_log_fault(op->log))
            operation_abort(op, "disk", event_log_fault(op->log));
        else if (gone > limit || (gone && free_now < SPARE_BYTES) ||
                 (names > LAYER_NAMES_MIN &&
                  names > limit / LAYER_BYTES_A_NAME))
            measure_run(op, free_now);
    }
}
