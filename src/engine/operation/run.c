/* run.c: see run.h. */
#define _GNU_SOURCE
#include "operation/run.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/descriptor.h"
#include "layer/blob.h"
#include "operation/commands.h"
#include "operation/disk.h"
#include "operation/egress_reports.h"
#include "operation/end.h"
#include "operation/internal.h"
#include "operation/operation.h"
#include "operation/pause.h"
#include "operation/ports.h"
#include "operation/processes.h"
#include "operation/queue.h"
#include "operation/root.h"
#include "operation/save.h"
#include "operation/schedule.h"
#include "operation/signing.h"
#include "operation/squash.h"
#include "operation/warm.h"
#include "sandbox/launcher.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* Time between killing the main process and killing its sandbox. */
#define KILL_GRACE_SECONDS 2.0

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

/* An empty volume is for the user of the run, or else only root could write in
 * it. */
static int give_volumes(struct operation *op, struct fault *f) {
    const struct run_process *p = &op->run.process;
    const struct sandbox_process to = {
        .user = p->user, .uid = p->uid, .gid = p->gid, .has_gid = p->has_gid};
    if (!p->user && p->uid == 0)
        return 0;
    for (size_t i = 0; i < op->run.mounts.count; i++) {
        const struct run_mount *m = &op->run.mounts.list[i];
        if (m->volume && sandbox_give(op->sandbox, m->target, &to, f) < 0)
            return -1;
    }
    return 0;
}

static int start_main(struct operation *op, struct fault *f) {
    if (op->run.rules.trusts && sandbox_trust(op->sandbox, f) < 0)
        return -1;
    if (give_volumes(op, f) < 0)
        return -1;
    struct process_entry *e = processes_add(op, f);
    if (!e)
        return -1;
    if (processes_start(op, e, &op->run.process, f) == 0)
        return 0;
    processes_remove(op, e);
    return -1;
}

/* Order the files, then the main process. If the sandbox is full, on_fed() goes
 * on. */
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
        operation_fail(op, &why, NULL, 0);
}

static void on_started(void *arg);
static void on_failed(void *arg, const struct fault *why);
static void on_spawned(void *arg, int spid, int pid,
                       const struct sandbox_account *a, int terminal);
static void on_spawn_failed(void *arg, int spid, const struct fault *why);
static void on_exited(void *arg, int spid, const struct sandbox_exit *e);
static void on_gone(void *arg);

static void on_socket(void *arg, unsigned id, int fd, const struct fault *why) {
    ports_socket(arg, id, fd, why);
}

static void on_paused(void *arg, bool all) {
    pause_reported(arg, all);
}

static void on_reported(void *arg, const json_t *report) {
    signing_take(arg, report);
    egress_report(arg, report);
}

static const struct sandbox_callbacks callbacks = {
    on_started, on_failed, on_spawned, on_spawn_failed, on_exited,
    on_gone,    on_fed,    on_paused,  on_socket,       on_reported};

/* Get a sandbox on a workspace of its own above the layers of the image. */
static int get_sandbox(struct operation *op, bool *started, struct fault *f) {
    struct root root = root_of(op);
    *started = false;
    /* A sandbox that was made ahead would keep a volume from being removed. */
    if (root.mounts.count == 0 && !root.rules && !root.tracing)
        op->sandbox = warm_take(op->all->warm, &root, &callbacks, op,
                                &op->workspace, started);
    if (!op->sandbox)
        op->sandbox = root_start(op->all->engine, &root, &callbacks, op,
                                 &op->workspace, f);
    op->has_workspace = op->sandbox != NULL;
    run_mounts_close(&op->run.mounts);
    return op->sandbox ? 0 : -1;
}

/* Note the layers of the image, and have them squashed if that is due. *wait:
 * they are too many to mount, so the run waits for the squash. */
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

int run_begin(struct operation *op, struct fault *f) {
    bool wait, started;
    if (find_layers(op, &wait, f) < 0)
        return -1;
    if (wait)
        return 0;
    if (get_sandbox(op, &started, f) < 0)
        return -1;
    op->references++; /* on_gone() drops it */
    operation_take_place(op);
    op->status = "EXECUTING";
    operation_note_free_space(op);
    op->deadline = monotonic_seconds() + (double)run_start_limit(&op->run);
    operations_due(op->all, op->deadline);
    operations_housekeep(op->all);
    if (started)
        on_started(op);
    struct fault why;
    if (feed(op, &why) < 0)
        operation_fail(op, &why, NULL, 0);
    return 0;
}

/* Write the walls that every sandbox has, and the limits of this one. */
static void write_isolation(struct buffer *b, const char *list,
                            const struct limits *l, bool has_airlock) {
    json_open(b, "isolation", '[');
    while (*list) {
        size_t length = strcspn(list, ",");
        json_add_text(b, NULL, list, length);
        list += length + (list[length] == ',');
    }
    for (int k = 0; k < CGROUP_KINDS; k++)
        if (l->of[k] > 0)
            json_add_string(b, NULL, limit_table[k].controller);
    if (has_airlock)
        json_add_string(b, NULL, "airlock");
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
    size_t from = b->length;
    write_isolation(b, launcher_isolation(op->all->engine->launcher),
                    &op->run.limits, op->run.rules.text != NULL);
    if (b->length > from)
        result_add_isolation(&op->result, b->data + from, b->length - from);
    event_end(op->log);
}

static void on_failed(void *arg, const struct fault *why) {
    struct operation *op = arg;
    if (!op->concluded && !op->fault.status)
        op->fault = *why;
}

/* The timeout does not include the start of the sandbox. */
static void begin_time(struct operation *op) {
    int64_t limit = op->run.process.timeout;
    op->deadline = limit ? monotonic_seconds() + (double)limit : 0;
    if (!op->run.process.held)
        return;
    if (limit)
        operations_due(op->all, op->deadline);
    commands_settle(op);
}

static void on_spawned(void *arg, int spid, int pid,
                       const struct sandbox_account *a, int terminal) {
    struct operation *op = arg;
    struct process_entry *e = processes_find(op, spid);
    struct fault why;
    if (!e || process_is_spawned(e->process)) {
        close_fd(terminal);
        return;
    }
    if (process_spawned(e->process, pid, a, terminal, &why) < 0) {
        sandbox_signal(op->sandbox, spid, SIGKILL, NULL);
        on_spawn_failed(arg, spid, &why);
        return;
    }
    if (spid == 1 && !op->timed_out)
        begin_time(op);
    if (spid > 1)
        commands_begin(op, e);
    processes_answer(e, spid, NULL);
}

static void on_spawn_failed(void *arg, int spid, const struct fault *why) {
    struct operation *op = arg;
    struct process_entry *e = processes_find(op, spid);
    if (spid == 1) {
        operation_fail(op, why, NULL, 0);
    } else if (e) {
        processes_answer(e, 0, why);
        processes_remove(op, e);
        commands_settle(op);
    }
}

static void count_usage(struct operation *op, const struct sandbox_exit *e) {
    const struct rusage *u = &e->usage;
    op->cpu += (double)(u->ru_utime.tv_sec + u->ru_stime.tv_sec) +
               (double)(u->ru_utime.tv_usec + u->ru_stime.tv_usec) / 1e6;
    if (u->ru_maxrss > op->memory)
        op->memory = u->ru_maxrss;
}

/* init kills all other processes before it reports the exit of the main one, so
 * the pipes are mostly at their end. Then the end need not wait until the
 * sandbox is gone. But whoever has the result may remove its volumes, and the
 * airlock and the trace have yet to tell what they saw. */
static void main_exited(struct operation *op, struct process_entry *e) {
    bool complete = process_drain(e->process);
    if (complete && op->run.mounts.count == 0 && !op->run.rules.text &&
        !op->run.tracing && operation_drain(op))
        operation_conclude(op);
}

/* Read the rest of the output: all processes are dead. */
static void finish_output(struct operation *op) {
    op->draining = !operation_drain(op);
    if (!op->draining) {
        operation_conclude(op);
        return;
    }
    op->deadline = monotonic_seconds() + 0.001; /* the next turn */
    operations_due(op->all, op->deadline);
}

/* What is left of it is in the log, so a box may have any number of them. */
static void command_exited(struct operation *op, struct process_entry *e,
                           const struct sandbox_exit *x) {
    bool late = e->timed_out && x->signal == SIGKILL;
    process_drain(e->process);
    process_finish(e->process, late, late ? "timeout" : NULL,
                   late ? e->run.timeout : 0);
    processes_tell_end(e);
    processes_remove(op, e);
    commands_settle(op);
}

static void on_exited(void *arg, int spid, const struct sandbox_exit *x) {
    struct operation *op = arg;
    struct process_entry *e = processes_find(op, spid);
    if (!e || op->concluded || !process_is_spawned(e->process))
        return;
    process_exited(e->process, x);
    count_usage(op, x);
    if (spid == 1) {
        main_exited(op, e);
    } else {
        command_exited(op, e, x);
    }
}

/* The next run may come while the sandbox of this one is still going. */
enum { WARM = 2 };

static void on_gone(void *arg) {
    struct operation *op = arg;
    op->sandbox = NULL;
    operation_leave_volumes(op);
    operation_leave_place(op);
    if (!op->concluded)
        egress_end(op);
    if (!op->concluded)
        finish_output(op);
    operation_sandbox_gone(op);
    if (op->run.disposable) {
        struct root root = root_of(op);
        warm_fill(op->all->warm, &root, WARM);
    }
    queue_next(&op->all->runs);
    operation_unref(op);
}

static void fail_overdue(struct operation *op) {
    struct fault why;
    fault_set(&why, 429,
              "no sandbox was free within the %g seconds of queue_timeout",
              op->run.queue_timeout);
    operation_fail(op, &why, "queue", (int64_t)op->run.queue_timeout);
}

static void end_box(struct operation *op) {
    struct fault why;
    fault_set(&why, 408, "the box was open for %lld seconds, its time limit",
              (long long)op->run.process.timeout);
    operation_fail(op, &why, "timeout", op->run.process.timeout);
}

static void expire(struct operation *op) {
    struct process_entry *e = processes_find(op, 1);
    bool first = !op->timed_out;
    op->deadline = 0;
    if (op->draining) {
        finish_output(op);
        if (op->finished)
            operation_drop_workspace(op);
        return;
    }
    if (!op->sandbox && strcmp(op->status, "PENDING") == 0) {
        fail_overdue(op);
        return;
    }
    if (op->run.process.held && op->started) {
        end_box(op);
        return;
    }
    op->timed_out = true;
    if (!op->sandbox)
        return;
    /* Kill the main process alone first, so that init can report its usage. */
    if (first && e && process_is_spawned(e->process) &&
        sandbox_signal(op->sandbox, 1, SIGKILL, NULL) == 0) {
        op->deadline = monotonic_seconds() + KILL_GRACE_SECONDS;
        operations_due(op->all, op->deadline);
    } else {
        sandbox_kill(op->sandbox);
    }
}

static void wake(struct operation *op) {
    struct fault why;
    if (!commands_wake(op))
        return;
    fault_set(&why, 408, "the box had no command for %g seconds",
              op->run.idle_timeout);
    operation_fail(op, &why, "idle", (int64_t)op->run.idle_timeout);
}

/* ---- as an operation ---- */

static void begin(struct operation *op) {
    struct fault why;
    if (run_begin(op, &why) < 0)
        operation_fail(op, &why, NULL, 0);
}

static void cancel(struct operation *op) {
    if (op->sandbox)
        sandbox_kill(op->sandbox);
    else
        operation_conclude_unstarted(op);
}

static bool pin(const struct operation *op, struct gc_pins *p) {
    bool ok = !op->image.layer || gc_pin_layer(p, op->image.layer);
    for (size_t i = 0; ok && i < op->layer_count; i++)
        ok = gc_pin_layer(p, op->layers[i]);
    for (size_t i = 0; ok && op->contents && i < op->run.file_count; i++)
        ok = gc_pin_file(p, op->contents[i]);
    return ok;
}

static void free_run(struct operation *op) {
    operation_part(op);
    pause_free(op);
    ports_free(op);
    egress_free(op);
    signing_free(op);
    image_clear(&op->image);
    json_decref(op->image_env);
    run_clear(&op->run);
    free(op->contents);
    free(op->layers);
}

const struct operation_kind run_kind = {
    .name = "instance",
    .makes_layer = true,
    .begin = begin,
    .cancel = cancel,
    .expire = expire,
    .wake = wake,
    .watch = operation_watch_disk,
    .check_orders = processes_check_orders,
    .pin = pin,
    .free = free_run,
};
