/* disk.c: see disk.h. */
#include "operation/disk.h"
#include "layer/survey.h"
#include "operation/end.h"
#include "operation/internal.h"
#include "operation/save.h"
#include <stdlib.h>
#include <sys/statvfs.h>

/* The store needs this much of the disk to go on. A run that takes it is
 * stopped. */
#define SPARE_BYTES (UINT64_C(256) << 20)

struct space {
    uint64_t bytes, inodes;
};

static bool find_space(const struct operation *op, struct space *out) {
    struct statvfs v;
    if (fstatvfs(op->all->engine->dir_fd, &v) < 0)
        return false;
    out->bytes = (uint64_t)v.f_bavail * v.f_frsize;
    out->inodes = v.f_favail;
    return true;
}

void operation_note_free_space(struct operation *op) {
    struct space now;
    if (!find_space(op, &now))
        return;
    op->free_at_start = now.bytes;
    op->inodes_at_start = now.inodes;
}

struct measure {
    struct job job;
    struct operation *op;
    struct survey found;
    uint64_t free_now;
    int result;
};

static void measure_work(struct job *j) {
    struct measure *m = (struct measure *)j;
    m->result = workspace_survey(m->op->all->engine->layers, &m->op->workspace,
                                 &m->found, NULL);
}

/* Refuse what is above the run's own limit (*limit is that limit then). Refuse
 * also a run that wrote most of what a full disk lost since it started. */
static int judge(const struct measure *m, int64_t *limit, struct fault *f) {
    const struct operation *op = m->op;
    if (operation_check_layer(op, &m->found, f) < 0) {
        *limit = op->run.max_layer_bytes;
        return -1;
    }
    if (m->free_now >= SPARE_BYTES ||
        (uint64_t)m->found.bytes <= (op->free_at_start - m->free_now) / 2)
        return 0;
    return fault_set(f, 507,
                     "the run wrote %lld bytes and left less than %llu free on "
                     "the disk",
                     (long long)m->found.bytes,
                     (unsigned long long)SPARE_BYTES);
}

static void measure_done(struct job *j) {
    struct measure *m = (struct measure *)j;
    struct operation *op = m->op;
    struct fault why;
    int64_t limit = 0;
    op->measuring = false;
    if (m->result == 0 && op->sandbox && judge(m, &limit, &why) < 0)
        operation_fail(op, &why, "disk", limit);
    operation_unref(op);
    free(m);
}

static void measure(struct operation *op, uint64_t free_now) {
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

/* The free space of the whole disk shows cheaply that no run wrote much. The
 * workspace is measured only when that space shrank. */
static bool may_be_too_much(const struct operation *op,
                            const struct space *now) {
    uint64_t limit = (uint64_t)op->run.max_layer_bytes;
    uint64_t bytes = fallen(op->free_at_start, now->bytes);
    uint64_t names = fallen(op->inodes_at_start, now->inodes);
    return bytes > limit || (bytes && now->bytes < SPARE_BYTES) ||
           (names > LAYER_NAMES_MIN && names > limit / LAYER_BYTES_A_NAME);
}

void operation_watch_disk(struct operation *op) {
    struct space now;
    if (!op->sandbox || op->concluded || op->measuring)
        return;
    if (event_log_fault(op->log))
        operation_fail(op, event_log_fault(op->log), "disk", 0);
    else if (find_space(op, &now) && may_be_too_much(op, &now))
        measure(op, now.bytes);
}
