#define _GNU_SOURCE
#include "sandbox/probe.h"
#include "base/descriptor.h"
#include "base/log.h"
#include "base/scope.h"
#include "base/tree.h"
#include "sandbox/launcher.h"
#include "sandbox/sandbox.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PROBE_MS = 30000 };

struct probe {
    struct launcher *launcher;
    struct sandbox *sandbox;
    uv_timer_t limit;
    const char *rules;
    bool works;
    struct fault *fault;
};

static void on_started(void *arg) {
    (void)arg;
}

static void on_failed(void *arg, const struct fault *why) {
    struct probe *probe = arg;
    *probe->fault = *why;
}

static void on_spawned(void *arg, int spid, int pid,
                       const struct sandbox_account *a, int terminal) {
    (void)terminal;
    (void)a;
    (void)arg;
    (void)spid;
    (void)pid;
}

static void on_spawn_failed(void *arg, int spid, const struct fault *why) {
    (void)spid;
    on_failed(arg, why);
}

/* An empty image has no program to run, so the process exits with 127. */
static void on_exited(void *arg, int spid, const struct sandbox_exit *e) {
    struct probe *probe = arg;
    (void)spid;
    probe->works = e->code == 127;
}

static void on_gone(void *arg) {
    struct probe *probe = arg;
    uv_close((uv_handle_t *)&probe->limit, NULL);
    launcher_close(probe->launcher);
}

static void on_limit(uv_timer_t *timer) {
    struct probe *probe = timer->data;
    fault_set(probe->fault, 503, "no sandbox was made within %d seconds",
              PROBE_MS / 1000);
    sandbox_kill(probe->sandbox);
}

static int make_image(int dir, uid_t base, struct fault *f) {
    static const char *const dirs[] = {"l",        "w",       "l/0",
                                       "l/0/proc", "l/0/sys", "l/0/dev",
                                       "w/1",      "w/1/u",   "w/1/w"};
    for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++)
        if (mkdirat(dir, dirs[i], 0755) < 0 ||
            fchownat(dir, dirs[i], base, base, 0) < 0)
            return fault_errno(f, "cannot make %s", dirs[i]);
    return 0;
}

static int start(struct probe *probe, uv_loop_t *loop, struct fault *f) {
    static const struct sandbox_callbacks callbacks = {
        on_started, on_failed, on_spawned, on_spawn_failed,
        on_exited,  on_gone,   NULL,       NULL,
        NULL,       NULL};
    static const char *const lowers[] = {"l/0"};
    const struct sandbox_spec spec = {.lowers = lowers,
                                      .lower_count = 1,
                                      .upper = "w/1/u",
                                      .work = "w/1/w",
                                      .hostname = "probe",
                                      .networking = probe->rules != NULL,
                                      .rules = probe->rules};
    char *argv[] = {"/no/program", NULL}, *env[] = {NULL};
    struct sandbox_process p = {.argv = argv,
                                .env = env,
                                .cwd = "/",
                                .stdin_fd = -1,
                                .stdout_fd = -1,
                                .stderr_fd = -1};
    if (launcher_attach(probe->launcher, loop, f) < 0)
        return -1;
    probe->sandbox =
        sandbox_start(probe->launcher, &spec, &callbacks, probe, f);
    if (!probe->sandbox)
        return -1;
    probe->limit.data = probe;
    uv_timer_init(loop, &probe->limit);
    uv_timer_start(&probe->limit, on_limit, PROBE_MS, 0);
    if (sandbox_spawn(probe->sandbox, 1, &p, f) < 0)
        sandbox_kill(probe->sandbox);
    return 0;
}

static int try_in(int dir, struct id_range ids, const struct runtime *runtime,
                  const char *rules, char isolation[ISOLATION_SIZE],
                  struct fault *f) {
    struct probe probe = {.rules = rules, .fault = f};
    uv_loop_t loop;
    fault_set(f, 503, "the sandbox ended unexpectedly");
    if (make_image(dir, ids.base, f) < 0)
        return -1;
    probe.launcher = launcher_open(dir, ids, runtime, 0, f);
    if (!probe.launcher)
        return -1;
    snprintf(isolation, ISOLATION_SIZE, "%s",
             launcher_isolation(probe.launcher));
    if (uv_loop_init(&loop) < 0) {
        launcher_close(probe.launcher);
        return fault_set(f, 500, "cannot make an event loop");
    }
    if (start(&probe, &loop, f) < 0)
        launcher_close(probe.launcher);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    return probe.works ? 0 : -1;
}

int probe_run(int dir, const char *name, struct id_range ids,
              const struct runtime *runtime, const char *rules,
              char isolation[ISOLATION_SIZE], struct fault *f) {
    if (mkdirat(dir, name, 0700) < 0)
        return fault_errno(f, "cannot make %s in the data directory", name);
    int own CLEANUP(cleanup_close) =
        openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = own < 0 ? fault_errno(f, "cannot open %s", name)
                     : try_in(own, ids, runtime, rules, isolation, f);
    if (tree_delete_at(dir, name) < 0)
        log_line("cannot delete %s: %s", name, strerror(errno));
    return rc;
}
