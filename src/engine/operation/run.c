/* run.c: the life of one operation; see operation.h. */
#define _GNU_SOURCE
#include "base/buffer.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/overlay.h"
#include "base/scope.h"
#include "base/turn.h"
#include "layer/blob.h"
#include "operation/internal.h"
#include "sandbox/launcher.h"
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* Between the kill of the main process and that of its whole sandbox. */
#define KILL_GRACE_SECONDS 2.0

/* ---- processes ---- */

static struct process_entry *find_process(const struct operation *op,
                                          int spid) {
    struct process_entry *e = op->processes;
    while (e && e->spid != spid)
        e = e->next;
    return e;
}

static struct process_entry *add_process(struct operation *op,
                                         struct fault *f) {
    struct process_entry *e = calloc(1, sizeof *e);
    if (!e) {
        fault_memory(f);
        return NULL;
    }
    e->spid = op->next_spid++;
    e->next = op->processes;
    op->processes = e;
    return e;
}

static void remove_process(struct operation *op, struct process_entry *e) {
    struct process_entry **p = &op->processes;
    while (*p != e)
        p = &(*p)->next;
    *p = e->next;
    process_free(e->process);
    run_process_clear(&e->run);
    free(e);
}

static int start_process(struct operation *op, struct process_entry *e,
                         const struct run_process *run, struct fault *f) {
    struct process_spec spec = {
        .loop = op->all->engine->loop,
        .log = op->log,
        .spid = e->spid,
        .run = run,
        .image_env = op->image_env,
    };
    e->process = process_start(&spec, op->sandbox, f);
    return e->process ? 0 : -1;
}

static void answer_spawn(struct process_entry *e, int spid,
                         const struct fault *why) {
    struct spawn_waiter *w = steal_pointer(&e->waiter);
    if (w)
        w->started(w, spid, why);
}

/* ---- start ---- */

static int put_file(struct operation *op, size_t i, struct fault *f) {
    const struct run_file *file = &op->run.files[i];
    const char *xattrs[2 * RUN_XATTRS_MAX];
    struct sandbox_file to = {.path = file->path,
                              .mode = file->mode,
                              .uid = file->uid,
                              .gid = file->gid,
                              .xattrs = xattrs};
    run_file_xattrs(file, xattrs, &to.xattr_count);
    int fd = blob_open(op->all->engine->dir_fd, op->contents[i], f);
    return fd < 0 ? -1 : sandbox_put(op->sandbox, &to, fd, f);
}

static int start_main(struct operation *op, struct fault *f) {
    struct process_entry *e = add_process(op, f);
    if (!e)
        return -1;
    if (start_process(op, e, &op->run.process, f) == 0)
        return 0;
    remove_process(op, e);
    return -1;
}

/* Orders the files, then the main process. When the sandbox has enough of them,
 * the rest follows later. */
static int feed(struct operation *op, struct fault *f) {
    while (op->files_put < op->run.file_count) {
        if (sandbox_is_full(op->sandbox))
            return 0;
        if (put_file(op, op->files_put++, f) < 0)
            return -1;
    }
    return start_main(op, f);
}

static void on_fed(void *arg) {
    struct operation *op = arg;
    struct fault why;
    if (!op->fault.status && !op->cancelled && !op->timed_out &&
        feed(op, &why) < 0)
        operation_abort(op, NULL, &why);
}

static void on_started(void *arg);
static void on_failed(void *arg, const struct fault *why);
static void on_spawned(void *arg, int spid, int pid,
                       const struct sandbox_account *a);
static void on_spawn_failed(void *arg, int spid, const struct fault *why);
static void on_exited(void *arg, int spid, const struct sandbox_exit *e);
static void on_gone(void *arg);

static void conclude(struct operation *op);

/* Mounts the image below a fresh workspace. */
static int start_sandbox(struct operation *op, struct fault *f) {
    size_t count = op->layer_count;
    static const struct sandbox_callbacks callbacks = {
        on_started, on_failed, on_spawned, on_spawn_failed,
        on_exited,  on_gone,   on_fed};
    char(*paths)[32] CLEANUP(cleanup_free) = calloc(count + 1, sizeof *paths);
    const char **lowers CLEANUP(cleanup_free) =
        calloc(count + 1, sizeof *lowers);
    if (!paths || !lowers)
        return fault_memory(f);
    for (size_t i = 0; i <= count; i++) {
        layer_path(i < count ? op->layers[i] : 0, paths[i]);
        lowers[i] = paths[i];
    }
    if (!op->run.image_etc)
        lowers[count] = LAYER_PLACES;
    struct sandbox_spec spec = {
        .lowers = lowers,
        .lower_count = count + 1,
        .upper = op->workspace.upper,
        .work = op->workspace.work,
        .hostname = op->run.hostname,
        .shm_bytes = op->run.shm_bytes,
        .image_etc = run_image_etc(&op->run),
        .limits = op->run.limits,
        .networking = op->run.networking,
        /* One byte more than the layer may have: a file that reaches this is
         * too much for it, and found to be when the run is kept. */
        .max_file_bytes = op->run.max_layer_bytes < INT64_MAX
                              ? op->run.max_layer_bytes + 1
                              : 0,
    };
    op->sandbox =
        sandbox_start(op->all->engine->launcher, &spec, &callbacks, op, f);
    return op->sandbox ? 0 : -1;
}

static void note_free_space(struct operation *op) {
    struct statvfs v;
    if (fstatvfs(op->all->engine->dir_fd, &v) < 0)
        return;
    op->free_at_start = (uint64_t)v.f_bavail * v.f_frsize;
    op->inodes_at_start = v.f_favail;
}

/* Notes the layers of the image, and has them squashed if they are many; too
 * many: *wait. */
static int find_layers(struct operation *op, bool *wait, struct fault *f) {
    struct chain_layer *chain = NULL;
    size_t count = 0;
    *wait = false;
    if (op->image.layer &&
        store_layer_list(op->all->engine->store, op->image.layer, &chain,
                         &count, f) < 0)
        return -1;
    *wait = count > LAYERS_MAX;
    if (*wait)
        return operation_await_squash(op, chain, count, f);
    op->layers = calloc(count + 1, sizeof *op->layers);
    for (size_t i = 0; op->layers && i < count; i++)
        op->layers[i] = chain[i].id;
    op->layer_count = count;
    if (!operations_squash(op->all, chain, count))
        free(chain);
    return op->layers ? 0 : fault_memory(f);
}

int operation_begin(struct operation *op, struct fault *f) {
    struct engine *e = op->all->engine;
    bool wait;
    if (find_layers(op, &wait, f) < 0)
        return -1;
    if (wait)
        return 0;
    if (workspace_take(e->layers, &op->workspace, f) < 0)
        return -1;
    op->has_workspace = true;
    if (workspace_inherit_root(e->layers, &op->workspace, op->layers[0], f) <
            0 ||
        start_sandbox(op, f) < 0)
        return -1;
    op->references++; /* on_gone() gives it back */
    operation_take_place(op);
    op->status = "EXECUTING";
    note_free_space(op);
    op->deadline = monotonic_seconds() + (double)op->run.process.timeout;
    operations_due(op->all, op->deadline);
    operations_housekeep(op->all);
    struct fault why;
    if (feed(op, &why) < 0)
        operation_abort(op, NULL, &why);
    return 0;
}

/* Of an operation without a sandbox. The list and the queue, which forget it,
 * may have been all that kept it. */
static void conclude_unstarted(struct operation *op) {
    op->references++;
    conclude(op);
    operation_drop_workspace(op);
    operation_unref(op);
}

void operation_fail(struct operation *op, const struct fault *why) {
    op->fault = *why;
    conclude_unstarted(op);
}

void operation_abort(struct operation *op, const char *limit,
                     const struct fault *why) {
    if (op->concluded || op->fault.status)
        return;
    op->fault = *why;
    op->limit = limit;
    if (op->sandbox)
        sandbox_kill(op->sandbox);
}

/* The walls of every sandbox, and the limits that this one has. */
static void write_isolation(struct buffer *b, const char *list,
                            const struct limits *l) {
    json_open(b, "isolation", '[');
    while (*list) {
        size_t length = strcspn(list, ",");
        json_add_text(b, NULL, list, length);
        list += length + (list[length] == ',');
    }
    if (l->memory_bytes > 0)
        json_add_string(b, NULL, "memory");
    if (l->pids > 0)
        json_add_string(b, NULL, "pids");
    if (l->cpus > 0)
        json_add_string(b, NULL, "cpu");
    json_close(b, ']');
}

static void on_started(void *arg) {
    struct operation *op = arg;
    op->started = true;
    const struct runtime *runtime = op->all->engine->config->runtime;
    struct buffer *b = event_begin(op->log, "init", 0);
    json_add_time(b, "started_at", wall_microseconds());
    json_add_string(b, "runtime_path",
                    runtime ? runtime->path : "contree-init");
    json_add_bool(b, "verbose", false);
    json_add_int(b, "init_pid", 1);
    json_add_string(b, "hostname", op->run.hostname);
    json_add_string(b, "kernel", op->all->kernel);
    json_add_string(b, "machine", op->all->machine);
    write_isolation(b, launcher_isolation(op->all->engine->launcher),
                    &op->run.limits);
    event_end(op->log);
}

static void on_failed(void *arg, const struct fault *why) {
    struct operation *op = arg;
    if (!op->fault.status)
        op->fault = *why;
}

static void on_spawned(void *arg, int spid, int pid,
                       const struct sandbox_account *a) {
    struct operation *op = arg;
    struct process_entry *e = find_process(op, spid);
    if (!e)
        return;
    process_spawned(e->process, pid, a);
    if (spid == 1 && !op->timed_out) {
        /* The time counts from here; making the sandbox is ours. */
        op->deadline = monotonic_seconds() + (double)op->run.process.timeout;
    }
    answer_spawn(e, spid, NULL);
}

static void on_spawn_failed(void *arg, int spid, const struct fault *why) {
    struct operation *op = arg;
    struct process_entry *e = find_process(op, spid);
    if (spid == 1) {
        operation_abort(op, NULL, why);
    } else if (e) {
        answer_spawn(e, 0, why);
        remove_process(op, e);
    }
}

/* ---- end ---- */

static void count_usage(struct operation *op, const struct sandbox_exit *e) {
    const struct rusage *u = &e->usage;
    op->cpu += (double)(u->ru_utime.tv_sec + u->ru_stime.tv_sec) +
               (double)(u->ru_utime.tv_usec + u->ru_stime.tv_usec) / 1e6;
    if (u->ru_maxrss > op->memory)
        op->memory = u->ru_maxrss;
}

/* Takes the output of its processes, as far as others need not wait; true when
 * that is all. */
static bool drain_some(struct operation *op) {
    bool first = true;
    for (struct process_entry *e = op->processes; e; e = e->next) {
        if (e->drained || !process_is_spawned(e->process))
            continue;
        if (!first && turn_is_long(op->all->engine->loop))
            return false;
        process_drain(e->process);
        e->drained = true;
        first = false;
    }
    return true;
}

/* Whether the file is still there or not, and whether the run is kept or not:
 * it is like any run that wrote too much. */
static void judge_file_size(struct operation *op) {
    op->limit = "disk";
    op->layer_full = true;
    if (!op->fault.status && !op->cancelled)
        fault_set(&op->fault, 507,
                  "a file of the run was to become larger than "
                  "max_layer_bytes = %lld",
                  (long long)op->run.max_layer_bytes);
}

/* What the exit of the main process says about limits. */
static void judge_main(struct operation *op) {
    struct process_entry *e = find_process(op, 1);
    if (!e || !process_is_spawned(e->process)) {
        if (!op->fault.status && !op->cancelled)
            fault_set(&op->fault, 500,
                      "the command did not start within %lld seconds",
                      (long long)op->run.process.timeout);
        return;
    }
    const struct sandbox_exit *x = process_exit(e->process);
    if (op->timed_out && x->signal != SIGKILL)
        op->timed_out = false; /* it ended by itself just then */
    if (x->limit)
        op->limit = x->limit;
    else if (op->timed_out)
        op->limit = "timeout";
    else if (x->signal == SIGXFSZ)
        judge_file_size(op);
    if (!process_has_exited(e->process) && !op->timed_out && !op->cancelled &&
        !op->fault.status)
        fault_set(&op->fault, 500, "the sandbox ended unexpectedly");
}

/* How much the limit allowed: bytes, processes, seconds; 0: not a number. */
static int64_t limit_value(const struct operation *op) {
    if (!op->limit)
        return 0;
    return strcmp(op->limit, "memory") == 0    ? op->run.limits.memory_bytes
           : strcmp(op->limit, "pids") == 0    ? op->run.limits.pids
           : strcmp(op->limit, "timeout") == 0 ? op->run.process.timeout
           : op->layer_full                    ? op->run.max_layer_bytes
           : strcmp(op->limit, "queue") == 0   ? (int64_t)op->run.queue_timeout
                                               : 0;
}

static void finish_processes(struct operation *op) {
    static const struct fault over = {409, "the operation has ended"};
    while (op->processes) {
        struct process_entry *e = op->processes;
        bool main = e->spid == 1;
        process_finish(e->process, main && op->timed_out,
                       main ? op->limit : NULL, main ? limit_value(op) : 0);
        answer_spawn(e, 0, &over);
        remove_process(op, e);
    }
}

static const char *shutdown_reason(const struct operation *op) {
    return op->cancelled      ? "cancelled"
           : op->fault.status ? "failed"
           : op->timed_out    ? "timeout"
                              : "job_complete";
}

/* All output is in the log. */
static void conclude(struct operation *op) {
    const struct fault *broken;
    op->concluded = true;
    op->deadline = 0;
    operation_dequeue(op);
    judge_main(op);
    if (op->cancelled)
        op->limit = "cancelled";
    finish_processes(op);
    if (op->started) {
        struct buffer *b = event_begin(op->log, "shutdown", 0);
        json_add_time(b, "stopped_at", wall_microseconds());
        json_add_string(b, "reason", shutdown_reason(op));
        event_end(op->log);
    }
    broken = event_log_fault(op->log);
    if (broken && !op->fault.status)
        op->fault = *broken;
    if (op->cancelled)
        operation_settle(op, "CANCELLED");
    else if (op->fault.status)
        operation_settle(op, "FAILED");
    else if (op->run.disposable)
        operation_settle(op, "SUCCESS");
    else
        operation_save(op);
}

/* When the main process reports its exit init has killed all others: mostly
 * the pipes are at their ends. A disposable run need not wait for more. */
static void main_exited(struct operation *op, struct process_entry *e) {
    bool complete = process_drain(e->process);
    if (complete && op->run.disposable && drain_some(op))
        conclude(op);
}

/* All of them are dead: what is in the pipes is all there will be. */
static void finish_output(struct operation *op) {
    op->draining = !drain_some(op);
    if (!op->draining) {
        conclude(op);
        return;
    }
    op->deadline = monotonic_seconds() + 0.001; /* the next turn */
    operations_due(op->all, op->deadline);
}

static void on_exited(void *arg, int spid, const struct sandbox_exit *x) {
    struct operation *op = arg;
    struct process_entry *e = find_process(op, spid);
    if (!e || op->concluded)
        return;
    process_exited(e->process, x);
    count_usage(op, x);
    if (spid == 1) {
        main_exited(op, e);
    } else {
        process_drain(e->process);
        process_finish(e->process, false, NULL, 0);
    }
}

static void on_gone(void *arg) {
    struct operation *op = arg;
    op->sandbox = NULL;
    operation_leave_place(op);
    if (!op->concluded)
        finish_output(op);
    if (op->finished)
        operation_drop_workspace(op);
    operations_next(op->all);
    operation_unref(op);
}

void operation_expire(struct operation *op) {
    struct process_entry *e = find_process(op, 1);
    bool first = !op->timed_out;
    op->deadline = 0;
    if (op->draining) {
        finish_output(op);
        if (op->finished)
            operation_drop_workspace(op);
        return;
    }
    if (!op->sandbox && strcmp(op->status, "PENDING") == 0) {
        operation_overdue(op);
        return;
    }
    op->timed_out = true;
    if (!op->sandbox)
        return;
    /* Killing the main process alone first lets init tell what it used. */
    if (first && e && process_is_spawned(e->process) &&
        sandbox_signal(op->sandbox, 1, SIGKILL, NULL) == 0) {
        op->deadline = monotonic_seconds() + KILL_GRACE_SECONDS;
        operations_due(op->all, op->deadline);
    } else {
        sandbox_kill(op->sandbox);
    }
}

int operation_cancel(struct operation *op, struct fault *f) {
    if (op->concluded || op->cancelled)
        return fault_set(f, 409, "operation is not cancellable");
    op->cancelled = true;
    if (op->import) {
        operation_cancel_import(op);
    } else if (op->sandbox) {
        sandbox_kill(op->sandbox);
    } else {
        conclude_unstarted(op);
    }
    return 0;
}

/* ---- the final state ---- */

static void write_completion(struct buffer *b, const struct operation *op,
                             const char *status) {
    json_add_string(b, "status", status);
    json_add_int(b, "duration_ms", (op->finished - op->created) / 1000);
    json_add_optional(b, "result_image_uuid", op->result_image);
    json_add_string(b, "error", op->fault.status ? op->fault.message : NULL);
    if (op->image_size >= 0)
        json_add_int(b, "image_size_bytes", op->image_size);
    if (!op->import)
        json_add_int(b, "layer_bytes", op->layer_bytes);
    if (op->limit)
        json_add_string(b, "limit", op->limit);
    if (limit_value(op))
        json_add_int(b, "limit_value", limit_value(op));
}

void operation_complete(struct operation *op, const char *status) {
    op->finished = wall_microseconds();
    event_log_hold(op->log);
    struct buffer *b = event_begin(op->log, "completion", 0);
    write_completion(b, op, status);
    event_end(op->log);
}

static int store_final(struct operation *op, const char *status,
                       const char *log, size_t length, struct fault *f) {
    struct store *store = op->all->engine->store;
    struct operation_row row;
    operation_row(op, &row);
    row.status = status;
    return op->recorded ? store_operation_finish(store, &row, log, length, f)
                        : store_operation_record(store, &row, log, length, f);
}

void operation_settle(struct operation *op, const char *status) {
    size_t length;
    struct fault f;
    if (op->cancelled)
        op->fault.status = 0; /* that it was killed is no error */
    operation_complete(op, status);
    const char *log = event_log_text(op->log, &length);
    if (store_final(op, status, log, length, &f) < 0) {
        log_line("operation %s: %s", op->uuid, f.message);
        if (!op->fault.status)
            op->fault = f;
        status = "FAILED";
        /* A short row may still fit where the log did not. */
        if (store_final(op, status, "", 0, &f) < 0)
            log_line("operation %s is lost: %s", op->uuid, f.message);
    }
    op->status = status;
    op->recorded = true;
    operation_ended(op);
}

void operation_row(const struct operation *op, struct operation_row *out) {
    *out = (struct operation_row){
        .kind = op->kind,
        .status = op->status,
        .error = op->fault.status ? (char *)op->fault.message : NULL,
        .created = op->created,
        .finished = op->finished,
        .consumed_cpu = op->cpu,
        .consumed_memory = op->memory,
        .image_size = op->image_size,
        .tag = op->import ? (char *)import_tag(op->import) : NULL,
        .metadata = op->request,
    };
    memcpy(out->uuid, op->uuid, UUID_SIZE);
    memcpy(out->image, op->image.uuid, UUID_SIZE);
    memcpy(out->result_image, op->result_image, UUID_SIZE);
}

/* ---- orders to its processes ---- */

/* 425 before the main process runs, 409 after its end. */
static int check_running(const struct operation *op, struct fault *f) {
    struct process_entry *e = find_process(op, 1);
    if (op->import)
        return fault_set(f, 409, "an import has no processes");
    if (op->concluded || op->cancelled || op->timed_out ||
        (e && process_has_exited(e->process)))
        return fault_set(f, 409, "the operation is not running any more");
    if (!e || !process_is_spawned(e->process))
        return fault_set(f, 425, "the operation has not started yet");
    return 0;
}

int operation_spawn(struct operation *op, struct run_process *run,
                    struct spawn_waiter *w, struct fault *f) {
    struct process_entry *e =
        check_running(op, f) < 0 ? NULL : add_process(op, f);
    if (!e) {
        run_process_clear(run);
        return -1;
    }
    e->run = *run;
    *run = (struct run_process){0};
    if (!*e->run.cwd)
        e->run.cwd = op->run.process.cwd;
    if (e->run.image_user)
        e->run.user = op->image.user;
    if (start_process(op, e, &e->run, f) < 0) {
        remove_process(op, e);
        return -1;
    }
    e->waiter = w;
    return 0;
}

void operation_forget_spawn(struct operation *op, struct spawn_waiter *w) {
    for (struct process_entry *e = op->processes; e; e = e->next)
        if (e->waiter == w)
            e->waiter = NULL;
}

/* The process, once it is registered. */
static struct process_entry *check_process(const struct operation *op, int spid,
                                           struct fault *f) {
    struct process_entry *e = find_process(op, spid);
    if (check_running(op, f) < 0)
        return NULL;
    if (e && process_is_spawned(e->process))
        return e;
    fault_set(f, 404, "the operation has no process %d", spid);
    return NULL;
}

int operation_signal(struct operation *op, int spid, int signal,
                     struct fault *f) {
    struct process_entry *e = check_process(op, spid, f);
    if (!e)
        return -1;
    if (process_has_exited(e->process))
        return 0;
    return sandbox_signal(op->sandbox, spid, signal, f);
}

int operation_write(struct operation *op, int spid, const void *data,
                    size_t length, bool close, struct fault *f) {
    struct process_entry *e = check_process(op, spid, f);
    return e ? process_write(e->process, data, length, close, f) : -1;
}
