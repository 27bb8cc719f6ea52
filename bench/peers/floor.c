/* floor.c: how long a bare sandbox takes from its start to its exit, with the
 * launcher alone: no HTTP, no store, no Lua. The engine's runs are compared
 * with this. The time ends with the report of the exit, as that of a run does.
 * Cells are made ahead, as for the engine; a root is mounted when its run
 * begins. The next run begins when the one before is gone.
 *
 *   floor [-s] [-c IN_FLIGHT] [-p PAUSE_MS] [-r RUNTIME] RUNS DIRECTORY
 *
 * Image and upper directories go below DIRECTORY. Prints the microseconds of
 * each run on a line of its own, or with -s a summary in ms. */
#define _GNU_SOURCE
#include "base/clock.h"
#include "base/fault.h"
#include "sandbox/launcher.h"
#include "sandbox/sandbox.h"
#include "sandbox/userns.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SLOTS = 256 };

struct bench {
    uv_loop_t *loop;
    struct launcher *launcher;
    const char *runtime_name; /* NULL: native */
    struct runtime runtime;
    int dir_fd;
    struct id_range ids;
    int runs, started, ended, failures;
    double *milliseconds;
    double *gone_milliseconds;
    uv_timer_t pause;
    int pause_ms;
    int next_slot, free_slots[SLOTS], free_count; /* workspaces */
};

struct run {
    struct bench *bench;
    int number, slot;
    double begun;
};

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void make_dir(const struct bench *b, const char *path) {
    if ((mkdirat(b->dir_fd, path, 0755) < 0 && errno != EEXIST) ||
        fchownat(b->dir_fd, path, b->ids.base, b->ids.base, 0) < 0)
        die(path);
}

static void make_image(struct bench *b) {
    static const char *const dirs[] = {"l",        "w",       "l/0",
                                       "l/0/proc", "l/0/dev", "l/0/sys",
                                       "l/0/etc",  "l/1",     "l/1/bin"};
    for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++)
        make_dir(b, dirs[i]);
    char command[64];
    snprintf(command, sizeof command, "cp /bin/busybox l/1/bin/true");
    if (fchdir(b->dir_fd) < 0 || system(command) != 0)
        die("busybox");
}

/* Take a workspace. Like the engine, use one again if its run wrote nothing. */
static int take_slot(struct bench *b) {
    if (b->free_count > 0)
        return b->free_slots[--b->free_count];
    char path[48];
    int slot = b->next_slot++;
    snprintf(path, sizeof path, "w/%d", slot);
    make_dir(b, path);
    snprintf(path, sizeof path, "w/%d/u", slot);
    make_dir(b, path);
    snprintf(path, sizeof path, "w/%d/w", slot);
    make_dir(b, path);
    return slot;
}

static void give_slot(struct bench *b, int slot) {
    static const char *const marks[] = {"/volatile/dirty", "/volatile", ""};
    char path[80];
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "w/%d/w/work/incompat%s", slot, marks[i]);
        if (unlinkat(b->dir_fd, path, i == 0 ? 0 : AT_REMOVEDIR) < 0 &&
            errno != ENOENT)
            die(path);
    }
    b->free_slots[b->free_count++] = slot;
}

static void start_run(struct bench *b);

static void on_started(void *arg) {
    (void)arg;
}
static void on_failed(void *arg, const struct fault *f) {
    struct run *r = arg;
    r->bench->failures++;
    fprintf(stderr, "floor: %s\n", f->message);
}
static void on_spawned(void *arg, int spid, int pid,
                       const struct sandbox_account *account, int terminal) {
    (void)arg, (void)spid, (void)pid, (void)account, (void)terminal;
}
static void on_spawn_failed(void *arg, int spid, const struct fault *f) {
    (void)spid;
    on_failed(arg, f);
}
static void on_exited(void *arg, int spid, const struct sandbox_exit *e) {
    struct run *r = arg;
    (void)spid;
    r->bench->milliseconds[r->number] = 1e3 * (monotonic_seconds() - r->begun);
    r->bench->failures += e->code != 0;
}
static void on_pause(uv_timer_t *timer) {
    start_run(timer->data);
}
static void on_gone(void *arg) {
    struct run *r = arg;
    struct bench *b = r->bench;
    b->gone_milliseconds[r->number] = 1e3 * (monotonic_seconds() - r->begun);
    give_slot(b, r->slot);
    free(r);
    b->ended++;
    if (b->started < b->runs) {
        if (b->pause_ms > 0)
            uv_timer_start(&b->pause, on_pause, b->pause_ms, 0);
        else
            start_run(b);
    } else if (b->ended == b->runs) {
        launcher_close(b->launcher);
        uv_close((uv_handle_t *)&b->pause, NULL);
    }
}

static const struct sandbox_callbacks callbacks = {
    .started = on_started,
    .failed = on_failed,
    .spawned = on_spawned,
    .spawn_failed = on_spawn_failed,
    .exited = on_exited,
    .gone = on_gone,
};

static void start_run(struct bench *b) {
    static const char *const lowers[] = {"l/1", "l/0"};
    char *argv[] = {"/bin/true", NULL}, *env[] = {"PATH=/bin", NULL};
    char upper[48], work[48];
    struct run *r = calloc(1, sizeof *r);
    r->bench = b;
    r->number = b->started++;
    r->slot = take_slot(b);
    snprintf(upper, sizeof upper, "w/%d/u", r->slot);
    snprintf(work, sizeof work, "w/%d/w", r->slot);
    struct sandbox_spec spec = {.lowers = lowers,
                                .lower_count = 2,
                                .upper = upper,
                                .work = work,
                                .hostname = "floor"};
    struct sandbox_process p = {.argv = argv,
                                .env = env,
                                .cwd = "/",
                                .stdin_fd = -1,
                                .stdout_fd = -1,
                                .stderr_fd = -1};
    struct fault f;
    r->begun = monotonic_seconds();
    struct sandbox *s = sandbox_start(b->launcher, &spec, &callbacks, r, &f);
    if (!s || sandbox_spawn(s, 1, &p, &f) < 0) {
        fprintf(stderr, "floor: %s\n", f.message);
        exit(1);
    }
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_times(const char *name, double *t, int n) {
    qsort(t, n, sizeof *t, compare);
    printf("%-12s p50 %.3f  p95 %.3f  p99 %.3f  max %.3f ms\n", name, t[n / 2],
           t[n * 95 / 100], t[n * 99 / 100], t[n - 1]);
}

/* Read the command line. False on bad usage. */
static bool parse(int argc, char **argv, struct bench *b, bool *summary,
                  int *in_flight) {
    int option;
    *in_flight = 1;
    while ((option = getopt(argc, argv, "sc:p:r:")) != -1) {
        if (option == 's')
            *summary = true;
        else if (option == 'c')
            *in_flight = atoi(optarg);
        else if (option == 'p')
            b->pause_ms = atoi(optarg);
        else if (option == 'r')
            b->runtime_name = optarg;
        else
            return false;
    }
    return argc - optind == 2 && (b->runs = atoi(argv[optind])) > 0;
}

static void open_all(struct bench *b, char *path) {
    struct fault f;
    if ((b->runtime_name &&
         runtime_find(b->runtime_name, &b->runtime, &f) < 0) ||
        userns_enter(&b->ids, &f) < 0) {
        fprintf(stderr, "floor: %s\n", f.message);
        exit(1);
    }
    if (!mkdtemp(path))
        die(path);
    b->dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    make_image(b);
    b->milliseconds = calloc(b->runs, sizeof(double));
    b->gone_milliseconds = calloc(b->runs, sizeof(double));
    b->loop = uv_default_loop();
    uv_timer_init(b->loop, &b->pause);
    b->pause.data = b;
    b->launcher =
        launcher_open(b->dir_fd, b->ids, b->runtime_name ? &b->runtime : NULL,
                      SANDBOX_NICE, &f);
    if (!b->launcher || launcher_attach(b->launcher, b->loop, &f) < 0) {
        fprintf(stderr, "floor: %s\n", f.message);
        exit(1);
    }
}

static void print_results(struct bench *b, bool summary, double seconds) {
    if (summary) {
        print_times("exited", b->milliseconds, b->runs);
        print_times("gone", b->gone_milliseconds, b->runs);
        printf("%d runs, %d failed, %.0f runs/s\n", b->runs, b->failures,
               b->runs / seconds);
    }
    for (int i = 0; i < b->runs && !summary; i++)
        printf("%.1f\n", 1e3 * b->milliseconds[i]);
}

int main(int argc, char **argv) {
    struct bench b = {0};
    bool summary = false;
    int in_flight;
    if (!parse(argc, argv, &b, &summary, &in_flight)) {
        fprintf(stderr, "usage: floor [-s] [-c IN_FLIGHT] [-p PAUSE_MS] "
                        "[-r RUNTIME] RUNS DIRECTORY\n");
        return 2;
    }
    char where[4096], command[8192];
    if (!realpath(argv[optind + 1], where))
        die(argv[optind + 1]);
    strncat(where, "/floor.XXXXXX", sizeof where - strlen(where) - 1);
    open_all(&b, where);
    uv_run(b.loop, UV_RUN_NOWAIT);
    usleep(50000); /* until the first cells are ready */
    double begun = monotonic_seconds();
    while (in_flight-- > 0 && b.started < b.runs)
        start_run(&b);
    uv_run(b.loop, UV_RUN_DEFAULT);
    print_results(&b, summary, monotonic_seconds() - begun);
    snprintf(command, sizeof command, "rm -rf '%s'", where);
    return system(command) != 0 || b.failures > 0;
}
