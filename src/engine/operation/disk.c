/* disk.c: see disk.h. */
#include "operation/disk.h"
#include "base/clock.h"
#include "layer/survey.h"
#include "layer/volumes.h"
#include "operation/end.h"
#include "operation/internal.h"
#include "operation/mounts.h"
#include "operation/save.h"
#include "operation/volumes.h"
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
    int64_t volumes[MOUNTS_MAX]; /* bytes; -1: not known or not asked */
    uint64_t free_now;
    double seconds; /* that it took */
    int result;
};

/* Volumes with a quota are measured all the same: another run may free what one
 * takes. But little of a processor's time goes into volumes, which may be
 * large.
 */
enum {
    MEASURE_SECONDS = 1,
    MEASURE_PAUSE = 20, /* times what it took */
    /* So often only a program that wants it keeps a volume from being measured,
     * by moving directories all the time. */
    UNMEASURED_MAX = 5
};

static void measure_work(struct job *j) {
    struct measure *m = (struct measure *)j;
    double began = monotonic_seconds();
    m->result = workspace_survey(m->op->all->engine->layers, &m->op->workspace,
                                 &m->found, NULL);
    const struct run_mounts *all = &m->op->run.mounts;
    for (size_t i = 0; i < all->count; i++)
        if (!all->list[i].volume ||
            (!all->list[i].stored.quota && m->free_now >= SPARE_BYTES) ||
            volume_measure(m->op->all->engine->layers, &all->list[i].stored,
                           &m->volumes[i], NULL) < 0)
            m->volumes[i] = -1;
    m->seconds = monotonic_seconds() - began;
}

/* What the volume has grown by since the run began: all of it if that is not
 * known. */
static int64_t growth(const struct measure *m, size_t i) {
    int64_t before = m->op->run.mounts.list[i].bytes;
    int64_t grown = m->volumes[i] - (before > 0 ? before : 0);
    return grown > 0 ? grown : 0;
}

/* Refuse a volume that has grown beyond its quota. One that was larger before
 * may be used, so that a run can clean it up. */
static int judge_volumes(const struct measure *m, int64_t *limit,
                         struct fault *f) {
    const struct run_mounts *all = &m->op->run.mounts;
    for (size_t i = 0; i < all->count; i++) {
        struct run_mount *mount = &all->list[i];
        const struct stored_volume *v = &mount->stored;
        if (!v->quota)
            continue;
        *limit = v->quota;
        mount->unmeasured = m->volumes[i] < 0 ? mount->unmeasured + 1 : 0;
        if (mount->unmeasured == UNMEASURED_MAX)
            return fault_set(f, 507,
                             "the volume \"%.200s\" has a quota and cannot be "
                             "measured: its directories are moved all the time",
                             v->name);
        if (m->volumes[i] <= v->quota || growth(m, i) == 0)
            continue;
        return fault_set(f, 507,
                         "the volume \"%.200s\" grew to %lld bytes, more than "
                         "its quota of %lld",
                         v->name, (long long)m->volumes[i],
                         (long long)v->quota);
    }
    return 0;
}

/* Refuse what is above the run's own limit (*limit is that limit then). Refuse
 * also a run that wrote most of what a full disk lost since it started. */
static int judge(const struct measure *m, int64_t *limit, struct fault *f) {
    const struct operation *op = m->op;
    if (operation_check_layer(op, &m->found, f) < 0) {
        *limit = op->run.max_layer_bytes;
        return -1;
    }
    int64_t written = m->found.bytes;
    for (size_t i = 0; i < op->run.mounts.count; i++)
        written += growth(m, i);
    if (m->free_now >= SPARE_BYTES ||
        (uint64_t)written <= (op->free_at_start - m->free_now) / 2)
        return 0;
    return fault_set(f, 507,
                     "the run wrote %lld bytes and left less than %llu free on "
                     "the disk",
                     (long long)written, (unsigned long long)SPARE_BYTES);
}

static void measure_done(struct job *j) {
    struct measure *m = (struct measure *)j;
    struct operation *op = m->op;
    struct fault why;
    int64_t limit = 0;
    double pause = MEASURE_PAUSE * m->seconds;
    op->measuring = false;
    op->run.mounts.measure_after =
        monotonic_seconds() +
        (pause > MEASURE_SECONDS ? pause : MEASURE_SECONDS);
    if (op->sandbox && (judge_volumes(m, &limit, &why) < 0 ||
                        (m->result == 0 && judge(m, &limit, &why) < 0)))
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

static bool has_quota(const struct operation *op) {
    for (size_t i = 0; i < op->run.mounts.count; i++)
        if (op->run.mounts.list[i].stored.quota)
            return true;
    return false;
}

/* The free space of the whole disk shows cheaply that no run wrote much. The
 * workspace is measured only when that space shrank. */
static bool may_be_too_much(const struct operation *op,
                            const struct space *now) {
    uint64_t limit = (uint64_t)op->run.max_layer_bytes;
    uint64_t bytes = fallen(op->free_at_start, now->bytes);
    uint64_t names = fallen(op->inodes_at_start, now->inodes);
    if (op->run.mounts.count &&
        monotonic_seconds() < op->run.mounts.measure_after)
        return false;
    if (has_quota(op))
        return true;
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

/* ---- volumes that were left ---- */

struct left_volume {
    struct job job;
    struct stored_volume volume;
};

static void left_work(struct job *j) {
    struct left_volume *left = (struct left_volume *)j;
    struct engine *e = job_engine(j);
    int64_t bytes;
    /* Otherwise the next run measures it. */
    if (volume_measure(e->layers, &left->volume, &bytes, NULL) == 0)
        store_volume_measured(e->store, &left->volume, bytes, NULL);
}

static void left_done(struct job *j) {
    free(j);
}

void operation_leave_volumes(struct operation *op) {
    struct engine *e = op->all->engine;
    run_mounts_release(&op->run.mounts);
    for (size_t i = 0; i < op->run.mounts.count; i++) {
        const struct stored_volume *v = &op->run.mounts.list[i].stored;
        struct left_volume *left = v->quota && !volume_runs(e, v->name)
                                       ? calloc(1, sizeof *left)
                                       : NULL;
        if (!left)
            continue;
        left->volume = *v;
        job_start(&e->workers, &left->job, left_work, left_done);
    }
}
