/* box.h: runs commands in sandboxes, for tests. A test program has one loop,
 * one launcher, and one data directory with a busybox image. */
#ifndef CONTREE_BOX_H
#define CONTREE_BOX_H

#include "base/descriptor.h"
#include "base/fault.h"
#include "check.h"
#include "layer/skeleton.h"
#include "sandbox/launcher.h"
#include "sandbox/sandbox.h"
#include "sandbox/userns.h"
#include "temp_dir.h"
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

static struct {
    uv_loop_t *loop;
    struct launcher *launcher;
    struct runtime found;
    const struct runtime *runtime; /* NULL: the native launcher */
    struct temp_dir dir;
    struct id_range ids;
    int next_workspace;
} world;

enum { OUTPUT_MAX = 1 << 17 };

/* The output of a process, read while the sandbox runs. */
struct capture {
    uv_pipe_t pipe;
    char data[OUTPUT_MAX];
    size_t length;
};

/* A sandbox, and the callbacks made so far. */
struct box {
    struct sandbox *sandbox;
    char upper[32], work[32];
    struct capture out, err;
    int open_captures;
    bool started, failed, gone, spawn_failed;
    struct fault fault;
    bool has_exited[8]; /* by spid */
    int pids[8];
    struct sandbox_exit exits[8];
    int events;      /* callbacks so far, without reports */
    json_t *reports; /* an array, or NULL */
    void (*on_spawned)(struct box *b, int spid);
};

/* Options of a box. Zero means the default. */
struct box_options {
    const char *image;    /* layer on top: "l/2" instead of "l/1" */
    const char *hostname; /* "box" */
    int64_t max_file_bytes, max_processes;
    bool networking;
    enum tracing tracing;
    struct limits limits;
};

static inline void box_make_dir(const char *path) {
    if ((mkdirat(world.dir.fd, path, 0755) < 0 && errno != EEXIST) ||
        fchownat(world.dir.fd, path, world.ids.base, world.ids.base, 0) < 0)
        printf("# mkdir %s: %s\n", path, strerror(errno));
}

/* Give a tree to root of the sandbox. */
static inline void box_own(const char *path) {
    shell("chown -hR %u:%u %s/%s", (unsigned)world.ids.base,
          (unsigned)world.ids.base, world.dir.path, path);
}

/* Make the skeletons l/0 and l/places, and busybox as l/1. */
static inline void box_make_image(void) {
    static const char *const dirs[] = {"l", "w", "l/1", "l/1/bin"};
    struct fault f;
    for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++)
        box_make_dir(dirs[i]);
    if (skeletons_prepare(world.dir.fd, world.ids.base, &f) < 0)
        printf("# %s\n", f.message);
    shell("cd %s/l/1/bin && cp /bin/busybox . && "
          "for a in $(/bin/busybox --list); do "
          "[ $a = busybox ] || ln -s busybox $a; done",
          world.dir.path);
    box_own("l/1");
}

/* Names the OCI runtime for the sandboxes of this process. Unset: none. */
#define RUNTIME_VARIABLE "CONTREE_TEST_RUNTIME"

static inline int world_find_runtime(struct fault *f) {
    const char *name = getenv(RUNTIME_VARIABLE);
    if (!name)
        return 0;
    printf("# made by %s\n", name);
    world.runtime = &world.found;
    return runtime_find(name, &world.found, f);
}

/* As the engine does it: what is ignored here would be in sandboxes, too. A
 * shell that starts a program in the background has it ignore SIGINT. */
static inline void restore_signals(void) {
    for (int i = 1; i < NSIG; i++)
        signal(i, SIG_DFL);
}

static inline bool world_open(void) {
    struct fault f = {0};
    restore_signals();
    world.loop = uv_default_loop();
    if (world_find_runtime(&f) < 0 || userns_enter(&world.ids, &f) < 0) {
        printf("# %s\n", f.message);
        return false;
    }
    world.dir = temp_dir_make();
    box_make_image();
    world.launcher =
        launcher_open(world.dir.fd, world.ids, world.runtime, SANDBOX_NICE, &f);
    if (!world.launcher ||
        launcher_attach(world.launcher, world.loop, &f) < 0) {
        printf("# %s\n", f.message);
        return false;
    }
    return true;
}

static inline void world_close(void) {
    launcher_close(world.launcher);
    uv_run(world.loop, UV_RUN_DEFAULT);
    uv_loop_close(world.loop);
    temp_dir_remove(&world.dir);
}

static inline void box_on_started(void *arg) {
    struct box *b = arg;
    b->started = true;
    b->events++;
}

static inline void box_on_failed(void *arg, const struct fault *why) {
    struct box *b = arg;
    b->failed = true;
    b->fault = *why;
    b->events++;
}

static inline void box_on_spawned(void *arg, int spid, int pid,
                                  const struct sandbox_account *a,
                                  int terminal) {
    (void)a;
    struct box *b = arg;
    close_fd(terminal);
    b->pids[spid & 7] = pid;
    b->events++;
    if (b->on_spawned)
        b->on_spawned(b, spid);
}

static inline void box_on_spawn_failed(void *arg, int spid,
                                       const struct fault *why) {
    struct box *b = arg;
    (void)spid;
    b->spawn_failed = true;
    b->fault = *why;
    b->events++;
    sandbox_kill(b->sandbox);
}

static inline void box_on_exited(void *arg, int spid,
                                 const struct sandbox_exit *e) {
    struct box *b = arg;
    b->has_exited[spid & 7] = true;
    b->exits[spid & 7] = *e;
    b->events++;
}

static inline void box_on_reported(void *arg, const json_t *report) {
    struct box *b = arg;
    if (!b->reports)
        b->reports = json_array();
    json_array_append_new(b->reports, json_deep_copy(report));
}

static inline void box_on_gone(void *arg) {
    struct box *b = arg;
    b->gone = true;
    b->events++;
}

static inline void capture_alloc(uv_handle_t *h, size_t size, uv_buf_t *buf) {
    struct capture *c = (struct capture *)h;
    (void)size;
    static char overflow[65536];
    if (c->length < sizeof c->data - 1)
        *buf = uv_buf_init(c->data + c->length, sizeof c->data - 1 - c->length);
    else
        *buf = uv_buf_init(overflow, sizeof overflow);
}

static inline void capture_closed(uv_handle_t *h) {
    struct box *b = h->data;
    b->open_captures--;
}

static inline void capture_read(uv_stream_t *s, ssize_t n,
                                const uv_buf_t *buf) {
    struct capture *c = (struct capture *)s;
    (void)buf;
    if (n < 0)
        uv_close((uv_handle_t *)s, capture_closed);
    else if (c->length + n < sizeof c->data)
        c->length += n;
}

/* Start to capture, and return the end of the pipe for the process. */
static inline int capture_start(struct box *b, struct capture *c) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    uv_pipe_init(world.loop, &c->pipe, 0);
    uv_pipe_open(&c->pipe, ends[0]);
    c->pipe.data = b;
    b->open_captures++;
    uv_read_start((uv_stream_t *)&c->pipe, capture_alloc, capture_read);
    return ends[1];
}

static const struct sandbox_callbacks box_callbacks = {
    box_on_started, box_on_failed,  box_on_spawned, box_on_spawn_failed,
    box_on_exited,  box_on_gone,    NULL,           NULL,
    NULL,           box_on_reported};

/* Start a sandbox in a new workspace; NULL with the fault. */
static inline struct box *box_start(const struct box_options *o,
                                    struct fault *f) {
    static const struct box_options defaults;
    if (!o)
        o = &defaults;
    struct box *b = calloc(1, sizeof *b);
    char dir[24];
    int n = world.next_workspace++;
    snprintf(dir, sizeof dir, "w/%d", n);
    snprintf(b->upper, sizeof b->upper, "w/%d/u", n);
    snprintf(b->work, sizeof b->work, "w/%d/w", n);
    box_make_dir(dir);
    box_make_dir(b->upper);
    box_make_dir(b->work);
    const char *const lowers[] = {o->image ? o->image : "l/1", "l/1",
                                  "l/places"};
    bool own_image = o->image != NULL;
    struct sandbox_spec spec = {
        .lowers = own_image ? lowers : lowers + 1,
        .lower_count = own_image ? 3 : 2,
        .upper = b->upper,
        .work = b->work,
        .hostname = o->hostname ? o->hostname : "box",
        .max_file_bytes = o->max_file_bytes,
        .max_processes = o->max_processes,
        .networking = o->networking,
        .tracing = o->tracing,
        .limits = o->limits,
    };
    b->sandbox = sandbox_start(world.launcher, &spec, &box_callbacks, b, f);
    if (b->sandbox)
        return b;
    free(b);
    return NULL;
}

static inline char *const *box_environment(void) {
    static char *env[] = {"PATH=/bin", "HOME=/root", NULL};
    return env;
}

/* Spawn a process. Only the output of the main process is captured. */
static inline void box_spawn(struct box *b, int spid,
                             struct sandbox_process *p) {
    struct fault f = {0};
    if (!p->env)
        p->env = box_environment();
    if (!p->cwd)
        p->cwd = "/";
    if (spid == 1) {
        p->stdout_fd = capture_start(b, &b->out);
        p->stderr_fd = capture_start(b, &b->err);
    } else {
        p->stdout_fd = p->stderr_fd = -1;
    }
    if (sandbox_spawn(b->sandbox, spid, p, &f) < 0) {
        b->spawn_failed = true;
        b->fault = f;
    }
}

/* Run the loop until the sandbox is gone and all its output was read. */
static inline void box_wait(struct box *b) {
    while (!b->gone || b->open_captures > 0)
        uv_run(world.loop, UV_RUN_ONCE);
    b->out.data[b->out.length] = b->err.data[b->err.length] = '\0';
}

/* Run a process in a new box until both have ended. The caller frees the box.
 */
static inline struct box *box_run(const struct box_options *o,
                                  struct sandbox_process p) {
    struct fault f = {0};
    struct box *b = box_start(o, &f);
    if (!b) {
        printf("# refused: %s\n", f.message);
        exit(1);
    }
    box_spawn(b, 1, &p);
    box_wait(b);
    if (b->failed)
        printf("# failed: %s\n", b->fault.message);
    return b;
}

static inline struct box *box_shell(const char *script) {
    char *argv[] = {"sh", "-c", (char *)script, NULL};
    return box_run(NULL,
                   (struct sandbox_process){.argv = argv, .stdin_fd = -1});
}

/* Run a script and return its output, which is valid until the next call. */
static inline const char *box_output(const char *script) {
    static char text[OUTPUT_MAX];
    struct box *b = box_shell(script);
    memcpy(text, b->out.data, b->out.length + 1);
    if (b->err.length)
        printf("# stderr of [%s]: %s\n", script, b->err.data);
    free(b);
    return text;
}

/* Run a script and return its exit code, or 256 + signal. */
static inline int box_code(const char *script) {
    struct box *b = box_shell(script);
    int code =
        b->exits[1].code >= 0 ? b->exits[1].code : 256 + b->exits[1].signal;
    if (!b->has_exited[1])
        code = -1;
    free(b);
    return code;
}

/* Return a file with this content, open at its start. */
static inline int box_file(const char *content) {
    int fd = memfd_create("file", MFD_CLOEXEC);
    if (write(fd, content, strlen(content)) < 0 || lseek(fd, 0, SEEK_SET) < 0)
        perror("memfd");
    return fd;
}

/* Whether the command line of any process contains `marker`. */
static inline bool process_exists(const char *marker) {
    DIR *proc = opendir("/proc");
    struct dirent *e;
    bool found = false;
    while (!found && (e = readdir(proc))) {
        char path[300], text[4096];
        snprintf(path, sizeof path, "/proc/%s/cmdline", e->d_name);
        int fd = e->d_name[0] >= '0' && e->d_name[0] <= '9'
                     ? open(path, O_RDONLY)
                     : -1;
        if (fd < 0)
            continue;
        ssize_t got = read(fd, text, sizeof text - 1);
        close(fd);
        found = got > 0 && memmem(text, got, marker, strlen(marker));
    }
    closedir(proc);
    return found;
}

#endif
