/* run.c: the life of one operation; see operation.h. */
#define _GNU_SOURCE
#include "base/buffer.h"
#include "base/clock.h"
#include "base/overlay.h"
#include "base/scope.h"
#include "layer/blob.h"
#include "operation/internal.h"
#include "sandbox/launcher.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* Between the kill of the main process and that of its whole sandbox. */
#define KILL_GRACE_SECONDS 2.0

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

/* ---- its sandbox ---- */

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
    struct process_entry *e = operation_add_process(op, f);
    if (!e)
        return -1;
    if (operation_start_process(op, e, &op->run.process, f) == 0)
        return 0;
    operation_remove_process(op, e);
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
    operation_note_free_space(op);
    op->deadline = monotonic_seconds() + (double)op->run.process.timeout;
    operations_due(op->all, op->deadline);
    operations_housekeep(op->all);
    struct fault why;
    if (feed(op, &why) < 0)
        operation_abort(op, NULL, &why);
    return 0;
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
    struct process_entry *e = operation_find_process(op, spid);
    if (!e)
        return;
    process_spawned(e->process, pid, a);
    if (spid == 1 && !op->timed_out) {
        /* The time counts from here; making the sandbox is ours. */
        op->deadline = monotonic_seconds() + (double)op->run.process.timeout;
    }
    operation_answer_spawn(e, spid, NULL);
}

static void on_spawn_failed(void *arg, int spid, const struct fault *why) {
    struct operation *op = arg;
    struct process_entry *e = operation_find_process(op, spid);
    if (spid == 1) {
        operation_abort(op, NULL, why);
    } else if (e) {
        operation_answer_spawn(e, 0, why);
        operation_remove_process(op, e);
    }
}

/* When the main process reports its exit init has killed all others: mostly
 * the pipes are at their ends. A disposable run need not wait for more. */
static void main_exited(struct operation *op, struct process_entry *e) {
    bool complete = process_drain(e->process);
    if (complete && op->run.disposable && operation_drain(op))
        operation_conclude(op);
}

/* All of them are dead: what is in the pipes is all there will be. */
static void finish_output(struct operation *op) {
    op->draining = !operation_drain(op);
    if (!op->draining) {
        operation_conclude(op);
        return;
    }
    op->deadline = monotonic_seconds() + 0.001; /* the next turn */
    operations_due(op->all, op->deadline);
}

static void on_exited(void *arg, int spid, const struct sandbox_exit *x) {
    struct operation *op = arg;
    struct process_entry *e = operation_find_process(op, spid);
    if (!e || op->concluded)
        return;
    process_exited(e->process, x);
    operation_count_usage(op, x);
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
    struct process_entry *e = operation_find_process(op, 1);
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
