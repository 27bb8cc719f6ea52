/* skopeo.c: see skopeo.h. */
#define _GNU_SOURCE
#include "transport/skopeo.h"
#include "base/clock.h"
#include "base/descriptor.h"
#include "base/fd.h"
#include "base/scope.h"
#include "transport/oci.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ARGUMENTS = 24, VARIABLES = 24, WORDS = 4096, TICK_MS = 100 };

/* skopeo reads its login from descriptor 3. */
#define AUTH_FILE "/proc/self/fd/3"

struct skopeo_process {
    char path[PATH_MAX];
    const char *argv[ARGUMENTS + 16];
    char *envp[VARIABLES];
    size_t variables;
    int dir, auth;       /* the directory, the authfile */
    int output, errors;  /* the ends to write to */
    int printed, spoken; /* the ends to read from, not blocking */
    pid_t pid;
    int pidfd;
    char words[WORDS]; /* the last bytes of its standard error */
    size_t length;
};

int skopeo_find(char path[PATH_MAX], struct fault *f) {
    const char *variable = getenv("PATH");
    char dirs[PATH_MAX];
    snprintf(dirs, sizeof dirs, "%s",
             variable ? variable : "/usr/local/bin:/usr/bin:/bin");
    for (char *rest = dirs, *dir; (dir = strsep(&rest, ":"));) {
        int length = snprintf(path, PATH_MAX, "%s/skopeo", dir);
        if (*dir == '/' && length < PATH_MAX && access(path, X_OK) == 0)
            return 0;
    }
    return fault_set(f, 501,
                     "registries are reached with the program skopeo: "
                     "install it (apt-get install skopeo, dnf install skopeo, "
                     "apk add skopeo) and try again");
}

/* ---- what it is started with ---- */

static int add_variable(struct skopeo_process *c, const char *name,
                        const char *value) {
    if (c->variables == VARIABLES - 1 ||
        asprintf(&c->envp[c->variables], "%s=%s", name, value) < 0)
        return -1;
    c->variables++;
    return 0;
}

/* Pass on only how to reach registries and which certificates to trust. skopeo
 * must see no login of the engine's user, and keep its cache in the directory.
 */
static int make_environment(struct skopeo_process *c) {
    static const char *const passed[] = {
        "PATH",     "HTTPS_PROXY",   "https_proxy", "NO_PROXY",
        "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR"};
    bool proxy = getenv("HTTPS_PROXY") || getenv("https_proxy");
    static const struct {
        const char *name, *value;
    } given[] = {
        {"HOME", "/nonexistent"},
        {"TMPDIR", "."},
        {"XDG_DATA_HOME", "."},
        /* As root it would keep its cache in /var. */
        {"_CONTAINERS_ROOTLESS_UID", "65534"},
        /* Registries are asked over TLS. Those on loopback are not, but never
         * through a proxy. So plain HTTP through a proxy could only be a
         * redirect, say to the metadata service of a cloud: it ends at a port
         * where nobody listens. */
        {"http_proxy", "http://127.0.0.1:1"},
    };
    for (size_t i = 0; i < sizeof passed / sizeof *passed; i++) {
        const char *value = getenv(passed[i]);
        if (strcasecmp(passed[i], "no_proxy") == 0 && !proxy)
            continue;
        if (value && add_variable(c, passed[i], value) < 0)
            return -1;
    }
    for (size_t i = 0; i < sizeof given / sizeof *given; i++)
        if (add_variable(c, given[i].name, given[i].value) < 0)
            return -1;
    return 0;
}

static void make_arguments(struct skopeo_process *c, const char *const *args) {
    size_t n = 0;
    c->argv[n++] = "skopeo";
    /* Without a policy skopeo refuses everything. A policy of the administrator
     * is obeyed. */
    if (access("/etc/containers/policy.json", F_OK) < 0)
        c->argv[n++] = "--insecure-policy";
    c->argv[n++] = "--override-os=linux";
    c->argv[n++] = "--override-arch";
    c->argv[n++] = oci_architecture();
    c->argv[n++] = "--tmpdir=.";
    for (size_t i = 0; i < ARGUMENTS && args[i]; i++) {
        c->argv[n++] = args[i];
        if (i == 0) /* an option of the subcommand */
            c->argv[n++] = "--authfile=" AUTH_FILE;
    }
}

/* Keep the login in memory, so that nothing is left on a disk if the engine is
 * killed. Its descriptor is above those that run_child() sets. */
static int make_auth(const char *text) {
    int fd CLEANUP(cleanup_close) = memfd_create("auth", MFD_CLOEXEC);
    if (fd < 0 || write_all(fd, text, strlen(text)) < 0)
        return -1;
    return fcntl(fd, F_DUPFD_CLOEXEC, 10);
}

static int make_pipe(int *out, int *in) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    *out = ends[0];
    *in = ends[1];
    return fcntl(*out, F_SETFL, O_NONBLOCK);
}

/* ---- start ---- */

/* Runs in the child of a process with threads, so it may only make system
 * calls. */
static void run_child(const struct skopeo_process *c, pid_t parent) {
    struct sigaction plain = {.sa_handler = SIG_DFL};
    sigset_t none;
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigemptyset(&none);
    sigaction(SIGPIPE, &plain, NULL);
    if (getppid() != parent || setpgid(0, 0) < 0 || null < 0 ||
        fchdir(c->dir) < 0 || dup2(null, 0) < 0 || dup2(c->output, 1) < 0 ||
        dup2(c->errors, 2) < 0 || dup2(c->auth, 3) < 0 ||
        syscall(SYS_close_range, 4, ~0U, CLOSE_RANGE_CLOEXEC) < 0 ||
        sigprocmask(SIG_SETMASK, &none, NULL) < 0)
        _exit(126);
    execve(c->path, (char *const *)c->argv, c->envp);
    _exit(127);
}

static int prepare(struct skopeo_process *c, const struct skopeo *s,
                   const char *const *args, struct fault *f) {
    if (skopeo_find(c->path, f) < 0)
        return -1;
    c->dir = s->dir;
    make_arguments(c, args);
    c->auth = make_auth(s->auth);
    if (c->auth < 0 || make_environment(c) < 0 ||
        make_pipe(&c->printed, &c->output) < 0 ||
        make_pipe(&c->spoken, &c->errors) < 0)
        return fault_errno(f, "starting skopeo");
    return 0;
}

static int start(struct skopeo_process *c, struct fault *f) {
    pid_t parent = getpid();
    c->pid = fork();
    if (c->pid == 0)
        run_child(c, parent);
    if (c->pid < 0)
        return fault_errno(f, "starting skopeo");
    /* Both parent and child do this, so that it is done whoever runs first. */
    setpgid(c->pid, c->pid);
    drop_fd(&c->output);
    drop_fd(&c->errors);
    c->pidfd = (int)syscall(SYS_pidfd_open, c->pid, 0);
    return c->pidfd < 0 ? fault_errno(f, "watching skopeo") : 0;
}

/* Kill its process group, and wait for it. */
static int end(struct skopeo_process *c) {
    int status = -1;
    if (c->pid <= 0)
        return -1;
    kill(-c->pid, SIGKILL);
    kill(c->pid, SIGKILL);
    while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return status;
}

static void clean_up(struct skopeo_process *c) {
    int *const fds[] = {&c->auth,    &c->output, &c->errors,
                        &c->printed, &c->spoken, &c->pidfd};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
        drop_fd(fds[i]);
    for (size_t i = 0; i < c->variables; i++)
        free(c->envp[i]);
}

/* ---- while it runs ---- */

/* Keep the last bytes of its standard error. */
static void keep(struct skopeo_process *c, const char *text, size_t length) {
    size_t room = sizeof c->words - 1;
    if (c->length + length > room) {
        size_t drop = c->length + length - room;
        memmove(c->words, c->words + drop, c->length - drop);
        c->length -= drop;
    }
    memcpy(c->words + c->length, text, length);
    c->length += length;
}

/* Read all that is there now. A pipe at its end is closed. */
static int drain(struct skopeo_process *c, int *fd, struct buffer *out,
                 struct fault *f) {
    char text[WORDS / 2];
    while (*fd >= 0) {
        ssize_t n = read(*fd, text, sizeof text);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return 0;
        if (n == 0) {
            drop_fd(fd);
        } else if (fd == &c->spoken) {
            keep(c, text, (size_t)n);
        } else if (out && !buffer_add(out, text, (size_t)n)) {
            return fault_set(f, 413, "the registry's answer is too large");
        }
    }
    return 0;
}

static int check(const struct skopeo *s, struct fault *f) {
    if (deadline_check(&s->deadline, "the registry", f) < 0)
        return -1;
    return s->watch ? s->watch(s->arg, f) : 0;
}

/* Wait until it ends by itself, or has to be killed. */
static int supervise(struct skopeo_process *c, const struct skopeo *s,
                     struct buffer *out, struct fault *f) {
    double next = 0;
    for (;;) {
        struct pollfd p[] = {{.fd = c->pidfd, .events = POLLIN},
                             {.fd = c->printed, .events = POLLIN},
                             {.fd = c->spoken, .events = POLLIN}};
        if (poll(p, 3, TICK_MS) < 0 && errno != EINTR)
            return fault_errno(f, "waiting for skopeo");
        if (drain(c, &c->printed, out, f) < 0 ||
            drain(c, &c->spoken, NULL, f) < 0)
            return -1;
        if (p[0].revents)
            return 0;
        if (monotonic_seconds() < next)
            continue;
        next = monotonic_seconds() + TICK_MS / 1000.0;
        if (check(s, f) < 0)
            return -1;
    }
}

/* ---- what it said ---- */

/* Unescape the text of msg="..." at `p`, in place. */
static char *unquote(char *p) {
    char *from = p, *to = p;
    for (; *from && *from != '"'; from++) {
        if (*from == '\\' && from[1])
            from++;
        *to++ = *from;
    }
    *to = 0;
    return p;
}

/* Return its last line, without the prefix of the log. */
static const char *last_words(struct skopeo_process *c) {
    static const char prefix[] = "Error parsing image name \"";
    static const char reuse[] = "trying to reuse blob ";
    c->words[c->length] = 0;
    for (char *p = c->words; *p; p++)
        if (iscntrl((unsigned char)*p) && *p != '\n')
            *p = '?';
    while (c->length && isspace((unsigned char)c->words[c->length - 1]))
        c->words[--c->length] = 0;
    char *line = strrchr(c->words, '\n');
    line = line ? line + 1 : c->words;
    char *message = strstr(line, "msg=\"");
    if (message)
        line = unquote(message + strlen("msg=\""));
    if (strncmp(line, prefix, strlen(prefix)) == 0) {
        char *rest = strstr(line, "\": ");
        line = rest ? rest + 3 : line;
    }
    if (strncmp(line, reuse, strlen(reuse)) == 0) {
        char *rest = strstr(line, " at destination: ");
        line = rest ? rest + strlen(" at destination: ") : line;
    }
    return *line ? line : "it gave no reason";
}

int skopeo_run(const struct skopeo *s, const char *const *args,
               struct buffer *out, struct fault *f) {
    struct skopeo_process *c = calloc(1, sizeof *c);
    if (!c)
        return fault_memory(f);
    c->auth = c->output = c->errors = c->printed = c->spoken = c->pidfd = -1;
    int result = prepare(c, s, args, f);
    if (result == 0)
        result = start(c, f);
    if (result == 0)
        result = supervise(c, s, out, f);
    int status = end(c);
    if (result == 0 && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
        result = fault_set(f, 502, "%.400s", last_words(c));
    clean_up(c);
    free(c);
    return result;
}
