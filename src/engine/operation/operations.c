/* operations.c: all active operations: the list, the queue, the clock, and what
 * has to be watched while they run; see operation.h. */
#define _GNU_SOURCE
#include "base/clock.h"
#include "base/log.h"
#include "base/scope.h"
#include "operation/internal.h"
#include "sandbox/launcher.h"
#include <math.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>

enum { HOUSEKEEPING_MS = 250, RETRY_SECONDS = 60 };
/* A run is stopped when it takes the last of the disk: the store needs some to
 * go on. */
#define SPARE_BYTES (UINT64_C(256) << 20)

/* ---- one operation ---- */

struct operation *operation_new(struct operations *all, const char *kind,
                                const char *key) {
    struct operation *op = calloc(1, sizeof *op);
    if (!op)
        return NULL;
    if (key)
        operation_key_uuid(key, op->uuid);
    else
        uuid_ordered(op->uuid);
    op->log = event_log_new(all->engine->dir_fd, op->uuid);
    if (!op->log) {
        free(op);
        return NULL;
    }
    op->all = all;
    op->references = 1;
    op->kind = kind;
    op->status = "PENDING";
    op->created = wall_microseconds();
    op->next_spid = 1;
    op->image_size = -1;
    all->count++;
    return op;
}

static void operation_free(struct operation *op) {
    op->all->count--;
    event_log_unref(op->log);
    image_clear(&op->image);
    operation_drop_client(op);
    json_decref(op->image_env);
    run_clear(&op->run);
    import_free(op->import);
    free(op->request);
    free(op->contents);
    free(op->layers);
    free(op);
}

void operation_unref(struct operation *op) {
    if (--op->references == 0)
        operation_free(op);
}

void operation_enlist(struct operation *op) {
    struct operations *all = op->all;
    op->listed = true;
    op->next = all->active;
    if (op->next)
        op->next->previous = op;
    all->active = op;
}

static void delist(struct operation *op) {
    if (op->next)
        op->next->previous = op->previous;
    if (op->previous)
        op->previous->next = op->next;
    else
        op->all->active = op->next;
    op->listed = false;
}

void operation_ended(struct operation *op) {
    op->references++; /* for the waiters' sake */
    if (op->listed) {
        delist(op);
        operation_unref(op);
    }
    event_log_finish(op->log);
    while (op->waiters) {
        struct operation_waiter *w = op->waiters;
        op->waiters = w->next;
        w->done(w, op, true);
    }
    operation_unref(op);
}

struct drop {
    struct job job;
    struct operations *all;
    struct workspace workspace;
};

static void drop_work(struct job *j) {
    workspace_drop(job_engine(j)->layers, &((struct drop *)j)->workspace);
}

static void drop_done(struct job *j) {
    operations_housekeep(((struct drop *)j)->all); /* there may be trash */
    free(j);
}

/* In a worker: even to recycle a clean one takes the disk's time. */
void operation_drop_workspace(struct operation *op) {
    if (!op->has_workspace)
        return;
    op->has_workspace = false;
    struct drop *d = calloc(1, sizeof *d);
    if (!d) {
        workspace_drop(op->all->engine->layers, &op->workspace);
        return;
    }
    d->all = op->all;
    d->workspace = op->workspace;
    job_start(&op->all->engine->workers, &d->job, drop_work, drop_done);
}

/* ---- starting ---- */

static int find_files(struct operation *op, struct fault *f) {
    if (op->run.file_count == 0)
        return 0;
    op->contents = calloc(op->run.file_count, sizeof *op->contents);
    if (!op->contents)
        return fault_memory(f);
    for (size_t i = 0; i < op->run.file_count; i++) {
        const struct run_file *file = &op->run.files[i];
        struct stored_file stored;
        if (store_file_by_uuid(op->all->engine->store, file->uuid, &stored, f) <
            0)
            return -1;
        memcpy(op->contents[i], stored.sha256, sizeof stored.sha256);
    }
    return 0;
}

static int settle_limits(struct operation *op, struct fault *f) {
    const struct engine *e = op->all->engine;
    const struct limits *defaults = &e->config->limits;
    struct limits *l = &op->run.limits;
    if (l->memory_bytes == 0)
        l->memory_bytes = defaults->memory_bytes;
    if (l->pids == 0)
        l->pids = defaults->pids;
    if (l->cpus == 0)
        l->cpus = defaults->cpus;
    return launcher_check_limits(e->launcher, l, f);
}

static int prepare(struct operation *op, struct fault *f) {
    struct store *store = op->all->engine->store;
    op->request = steal_pointer(&op->run.text);
    if (settle_limits(op, f) < 0)
        return -1;
    if (store_image_resolve(store, op->run.image, &op->image, f) < 0 ||
        find_files(op, f) < 0)
        return -1;
    if (op->image.env)
        op->image_env = json_loads(op->image.env, 0, NULL);
    if (op->run.process.image_user)
        op->run.process.user = op->image.user;
    if (!*op->run.process.cwd && op->image.cwd)
        op->run.process.cwd = op->image.cwd;
    return 0;
}

static struct operation *new_run(struct operations *all, struct run *run,
                                 long client, struct fault *f) {
    if (all->stopping) {
        fault_set(f, 503, "the engine is stopping");
        return NULL;
    }
    struct operation *op = operation_new(all, "instance", run->idempotency_key);
    if (op && operation_set_client(op, client))
        return op;
    if (op)
        operation_unref(op);
    fault_memory(f);
    return NULL;
}

/* What does not begin at once waits for so long, or until there is a place. */
static void await_turn(struct operation *op) {
    if (op->run.queue_timeout >= 0) {
        op->deadline = monotonic_seconds() + op->run.queue_timeout;
        operations_due(op->all, op->deadline);
    }
    operation_enqueue(op);
}

struct operation *operation_start(struct operations *all, struct run *run,
                                  long client, struct fault *f) {
    bool now = operations_have_place(all) && !all->queue;
    struct operation *op = NULL;
    if (now || operations_check_queue(all, run, f) == 0)
        op = new_run(all, run, client, f);
    if (!op) {
        run_clear(run);
        return NULL;
    }
    op->run = *run;
    *run = (struct run){0};
    op->run.idempotency_key = NULL; /* borrowed for the call */
    if (prepare(op, f) < 0 || (now && operation_begin(op, f) < 0)) {
        operation_drop_workspace(op);
        operation_unref(op);
        return NULL;
    }
    operation_enlist(op);
    if (!now)
        await_turn(op);
    return op;
}

/* ---- looking ---- */

struct operation *operation_find(struct operations *all, const char *uuid) {
    struct operation *op = all->active;
    while (op && strcmp(op->uuid, uuid) != 0)
        op = op->next;
    return op;
}

/* RFC 9562 §5.8: a version 8 uuid holds what its maker likes. */
void operation_key_uuid(const char *key, char out[UUID_SIZE]) {
    unsigned char hash[SHA256_DIGEST_LENGTH];
    char hex[33];
    SHA256((const unsigned char *)key, strlen(key), hash);
    hash[6] = (hash[6] & 0x0f) | 0x80;
    hash[8] = (hash[8] & 0x3f) | 0x80;
    for (int i = 0; i < 16; i++)
        snprintf(hex + 2 * i, 3, "%02x", hash[i]);
    snprintf(out, UUID_SIZE, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8,
             hex + 12, hex + 16, hex + 20);
}

const char *operation_request(const struct operation *op) {
    return op->request;
}

struct event_log *operation_log(const struct operation *op) {
    return op->log;
}

void operations_visit(struct operations *all,
                      bool (*visit)(void *arg, struct operation *op),
                      void *arg) {
    for (struct operation *op = all->active; op; op = op->next)
        if (!visit(arg, op))
            return;
}

int operation_record(struct operation *op, struct fault *f) {
    struct operation_row row;
    if (op->recorded)
        return 0;
    operation_row(op, &row);
    if (store_operation_add(op->all->engine->store, &row, f) < 0)
        return -1;
    op->recorded = true;
    return 0;
}

void operations_record(struct operations *all) {
    struct fault f;
    for (struct operation *op = all->active; op; op = op->next)
        if (operation_record(op, &f) < 0)
            log_line("operation %s: %s", op->uuid, f.message);
}

size_t operations_active(const struct operations *all) {
    return all->count;
}

size_t operations_running(const struct operations *all, const char *kind) {
    size_t n = 0;
    for (const struct operation *op = all->active; op; op = op->next)
        n += strcmp(op->kind, kind) == 0;
    return n;
}

/* ---- the clock ---- */

void operation_wait(struct operation *op, struct operation_waiter *w) {
    w->next = op->waiters;
    op->waiters = w;
    operations_due(op->all, w->deadline);
}

void operation_unwait(struct operation *op, struct operation_waiter *w) {
    struct operation_waiter **p = &op->waiters;
    while (*p && *p != w)
        p = &(*p)->next;
    if (*p)
        *p = w->next;
}

static void on_timer(uv_timer_t *timer);

void operations_due(struct operations *all, double deadline) {
    if (uv_is_active((uv_handle_t *)&all->timer) && all->timer_due <= deadline)
        return;
    double seconds = deadline - monotonic_seconds();
    all->timer_due = deadline;
    uv_update_time(all->engine->loop);
    uv_timer_start(&all->timer, on_timer,
                   seconds > 0 ? (uint64_t)(seconds * 1000) + 1 : 0, 0);
}

static double sooner(double a, double b) {
    return a < b ? a : b;
}

/* Tells those whose time is up; gives the next time. */
static double expire_waiters(struct operation *op, double now) {
    struct operation_waiter *due = NULL, **p = &op->waiters;
    double next = INFINITY;
    while (*p) {
        struct operation_waiter *w = *p;
        if (w->deadline > now) {
            next = sooner(next, w->deadline);
            p = &w->next;
            continue;
        }
        *p = w->next;
        w->next = due;
        due = w;
    }
    while (due) {
        struct operation_waiter *w = due;
        due = w->next;
        w->done(w, op, false);
    }
    return next;
}

static void on_timer(uv_timer_t *timer) {
    struct operations *all = timer->data;
    double now = monotonic_seconds(), next = INFINITY;
    for (struct operation *op = all->active, *after; op; op = after) {
        after = op->next;
        op->references++;
        if (op->deadline && op->deadline <= now)
            operation_expire(op);
        if (op->deadline)
            next = sooner(next, op->deadline);
        next = sooner(next, expire_waiters(op, now));
        operation_unref(op);
    }
    if (isfinite(next))
        operations_due(all, next);
}

/* ---- housekeeping ---- */

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
static void watch_disk(struct operations *all) {
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

struct chore {
    struct job job;
    struct operations *all;
    bool failed;
};

static void trash_work(struct job *j) {
    trash_empty(((struct chore *)j)->all->engine->layers);
}

static void trash_done(struct job *j) {
    ((struct chore *)j)->all->cleaning = false;
    free(j);
}

static void checkpoint_work(struct job *j) {
    struct chore *c = (struct chore *)j;
    struct fault f;
    c->failed = store_checkpoint(c->all->engine->store, &f) < 0;
    if (c->failed)
        log_line("checkpoint: %s", f.message);
}

static void checkpoint_done(struct job *j) {
    struct operations *all = ((struct chore *)j)->all;
    all->checkpointing = false;
    if (((struct chore *)j)->failed)
        all->checkpoint_after = monotonic_seconds() + RETRY_SECONDS;
    free(j);
}

static void do_chore(struct operations *all, bool due, bool *busy,
                     void (*work)(struct job *), void (*done)(struct job *)) {
    struct chore *c = due && !*busy ? calloc(1, sizeof *c) : NULL;
    if (!c)
        return;
    *busy = true;
    c->all = all;
    job_start(&all->engine->workers, &c->job, work, done);
}

static void on_housekeeping(uv_timer_t *timer) {
    struct operations *all = timer->data;
    struct engine *e = all->engine;
    bool trash = !trash_is_empty(e->layers);
    bool checkpoint = store_checkpoint_due(e->store) &&
                      monotonic_seconds() >= all->checkpoint_after;
    watch_disk(all);
    operations_report_imports(all);
    do_chore(all, trash, &all->cleaning, trash_work, trash_done);
    do_chore(all, checkpoint, &all->checkpointing, checkpoint_work,
             checkpoint_done);
    if (!all->running && !all->importing && !trash && !checkpoint)
        uv_timer_stop(timer);
}

void operations_housekeep(struct operations *all) {
    if (!uv_is_active((uv_handle_t *)&all->housekeeping))
        uv_timer_start(&all->housekeeping, on_housekeeping, HOUSEKEEPING_MS,
                       HOUSEKEEPING_MS);
}

/* ---- opening and closing ---- */

struct operations *operations_open(struct engine *e, struct fault *f) {
    struct operations *all = calloc(1, sizeof *all);
    struct utsname u;
    if (!all) {
        fault_memory(f);
        return NULL;
    }
    all->engine = e;
    all->queue_end = &all->queue;
    all->timer.data = all->housekeeping.data = all;
    uv_timer_init(e->loop, &all->timer);
    uv_timer_init(e->loop, &all->housekeeping);
    all->open_handles = 2;
    if (uname(&u) == 0) {
        snprintf(all->kernel, sizeof all->kernel, "%.63s", u.release);
        snprintf(all->machine, sizeof all->machine, "%.63s", u.machine);
    }
    return all;
}

void operations_stop(struct operations *all) {
    all->stopping = true;
    operations_stop_squash(all);
    for (struct operation *op = all->active, *after; op; op = after) {
        after = op->next;
        operation_cancel(op, NULL);
    }
}

static void on_closed(uv_handle_t *handle) {
    struct operations *all = handle->data;
    if (--all->open_handles == 0)
        free(all);
}

void operations_close(struct operations *all) {
    if (!all)
        return;
    uv_close((uv_handle_t *)&all->timer, on_closed);
    uv_close((uv_handle_t *)&all->housekeeping, on_closed);
}
