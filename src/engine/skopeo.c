/* skopeo.c: see skopeo.h. */
#define _GNU_SOURCE
#include "skopeo.h"
#include "tree.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SCHEME "docker://"
#define AUTH_FILE "auth.json"
#define MAX_CREDENTIALS 4096

int skopeo_source(const char *url, char out[512], struct fault *f) {
    const char *rest = NULL;
    if (strncmp(url, SCHEME, 9) == 0)
        rest = url + 9;
    else if (strncmp(url, "oci://", 6) == 0)
        rest = url + 6;
    bool valid = rest && isalnum((unsigned char)*rest) && strlen(rest) < 480;
    for (const char *p = rest; valid && *p; p++)
        valid = isalnum((unsigned char)*p) || strchr("._-/:@", *p);
    if (!valid)
        return fault_set(
            f, 400, "registry url '%.200s' is not docker://HOST/NAME:TAG", url);
    snprintf(out, 512, SCHEME "%s", rest);
    return 0;
}

/* The registry's host; a name without one is Docker's. */
static void source_host(const char *source, char out[512]) {
    const char *rest = source + strlen(SCHEME);
    size_t length = strcspn(rest, "/");
    snprintf(out, 512, "%.*s", (int)length, rest);
    if (!rest[length] || (!strpbrk(out, ".:") && strcmp(out, "localhost") != 0))
        snprintf(out, 512, "docker.io");
}

/* Loopback registries speak plain HTTP, for Docker too. */
static bool is_loopback(const char *host) {
    size_t length = strcspn(host, ":");
    return (length == 9 && strncmp(host, "localhost", 9) == 0) ||
           strncmp(host, "127.", 4) == 0;
}

static int write_auth(int dir, const char *host, const struct skopeo_options *o,
                      struct fault *f) {
    char plain[MAX_CREDENTIALS], encoded[2 * MAX_CREDENTIALS];
    const char *password = o->password ? o->password : "";
    int length = snprintf(plain, sizeof plain, "%s:%s", o->username, password);
    if (strchr(o->username, ':') || (size_t)length >= sizeof plain)
        return fault_set(f, 400, "these registry credentials cannot be used");
    EVP_EncodeBlock((unsigned char *)encoded, (unsigned char *)plain, length);
    int fd CLEANUP(cleanup_close) =
        openat(dir, AUTH_FILE, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int result = fd < 0 || dprintf(fd, "{\"auths\":{\"%s\":{\"auth\":\"%s\"}}}",
                                   host, encoded) < 0
                     ? fault_errno(f, "writing " AUTH_FILE)
                     : 0;
    explicit_bzero(plain, sizeof plain);
    explicit_bzero(encoded, sizeof encoded);
    return result;
}

/* Without a policy file skopeo refuses everything; where there is one, it is
 * the administrator's word. */
static bool has_policy(void) {
    const char *home = getenv("HOME");
    char path[512];
    if (access("/etc/containers/policy.json", F_OK) == 0)
        return true;
    snprintf(path, sizeof path, "%s/.config/containers/policy.json",
             home ? home : "");
    return access(path, F_OK) == 0;
}

/* Its temporary files are to be in `dir` like all else. */
static char **make_environment(void) {
    size_t count = 0, used = 0;
    while (environ[count])
        count++;
    char **out = calloc(count + 2, sizeof *out);
    if (!out)
        return NULL;
    for (size_t i = 0; i < count; i++)
        if (strncmp(environ[i], "TMPDIR=", 7) != 0)
            out[used++] = environ[i];
    out[used] = (char *)"TMPDIR=.";
    return out;
}

struct child {
    pid_t pid;
    int errors;      /* what it says on standard error */
    char said[4096]; /* the end of it */
    size_t said_length;
};

static int prepare_spawn(posix_spawn_file_actions_t *actions,
                         posix_spawnattr_t *attributes, int dir, int errors) {
    sigset_t none, ignored;
    sigemptyset(&none);
    sigemptyset(&ignored);
    sigaddset(&ignored, SIGPIPE);
    int error = posix_spawn_file_actions_addfchdir_np(actions, dir);
    if (!error)
        error = posix_spawn_file_actions_addopen(actions, 0, "/dev/null",
                                                 O_RDONLY, 0);
    if (!error)
        error = posix_spawn_file_actions_addopen(actions, 1, "/dev/null",
                                                 O_WRONLY, 0);
    if (!error)
        error = posix_spawn_file_actions_adddup2(actions, errors, 2);
    if (!error)
        error = posix_spawnattr_setsigmask(attributes, &none);
    if (!error)
        error = posix_spawnattr_setsigdefault(attributes, &ignored);
    /* A group of its own, to be killed as one. */
    if (!error)
        error = posix_spawnattr_setflags(
            attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                            POSIX_SPAWN_SETSIGDEF);
    return error;
}

static int start(struct child *c, int dir, char *const *argv, struct fault *f) {
    int ends[2];
    char **env CLEANUP(cleanup_free) = make_environment();
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    if (!env || pipe2(ends, O_CLOEXEC) < 0)
        return fault_errno(f, "starting skopeo");
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    int error = prepare_spawn(&actions, &attributes, dir, ends[1]);
    if (!error)
        error =
            posix_spawnp(&c->pid, argv[0], &actions, &attributes, argv, env);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    c->errors = ends[0];
    if (!error)
        return 0;
    close(ends[0]);
    errno = error;
    if (error == ENOENT)
        return fault_set(f, 503,
                         "skopeo is needed to fetch from a registry: install "
                         "it (apt-get install skopeo)");
    return fault_errno(f, "starting skopeo");
}

static int add_size(void *arg, int dir, const char *name,
                    const struct stat *st) {
    (void)dir;
    (void)name;
    *(int64_t *)arg += (int64_t)st->st_blocks * 512;
    return 0;
}

static int check_limits(int dir, const struct skopeo_options *o,
                        struct fault *f) {
    int64_t bytes = 0;
    if (o->cancelled && *o->cancelled)
        return fault_set(f, 409, "cancelled");
    if (o->deadline > 0 && monotonic_seconds() > o->deadline)
        return fault_set(f, 408, "the registry took longer than allowed");
    /* A file may vanish while we look; the next look will see the rest. */
    if (o->max_bytes > 0 && tree_walk(dir, add_size, &bytes) == 0 &&
        bytes > o->max_bytes)
        return fault_set(f, 413, "the image is larger than %lld bytes",
                         (long long)o->max_bytes);
    return 0;
}

/* Keeps the end of what is said. False at the end of it. */
static bool listen_to(struct child *c) {
    struct pollfd p = {.fd = c->errors, .events = POLLIN};
    char said[1024];
    if (poll(&p, 1, 100) <= 0)
        return true;
    ssize_t n = read(c->errors, said, sizeof said);
    if (n <= 0)
        return n < 0 && (errno == EINTR || errno == EAGAIN);
    size_t room = sizeof c->said - 1, length = (size_t)n;
    if (c->said_length + length > room) {
        size_t drop = c->said_length + length - room;
        memmove(c->said, c->said + drop, c->said_length - drop);
        c->said_length -= drop;
    }
    memcpy(c->said + c->said_length, said, length);
    c->said_length += length;
    return true;
}

/* Its last line, or the msg="..." of it; as printable text. */
static const char *last_words(struct child *c) {
    c->said[c->said_length] = 0;
    while (c->said_length &&
           isspace((unsigned char)c->said[c->said_length - 1]))
        c->said[--c->said_length] = 0;
    char *line = strrchr(c->said, '\n');
    line = line ? line + 1 : c->said;
    char *message = strstr(line, "msg=\"");
    for (char *p = line; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 127)
            *p = '?';
    return message ? message + 5 : *line ? line : "it gave no reason";
}

/* Seen but not yet reaped, so that its process group is surely still its own.
 */
static bool has_ended(const struct child *c) {
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0
               ? errno != EINTR
               : info.si_pid == c->pid;
}

/* Waits for the end, or makes one. */
static int supervise(struct child *c, int dir, const struct skopeo_options *o,
                     struct fault *f) {
    int status = -1, result = 0;
    bool talks = true;
    while (!has_ended(c)) {
        if (talks)
            talks = listen_to(c);
        else
            usleep(2000);
        if (result == 0 && (result = check_limits(dir, o, f)) < 0)
            kill(-c->pid, SIGKILL);
    }
    /* What it may have started itself. */
    kill(-c->pid, SIGKILL);
    while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
        continue;
    for (int tries = 0; talks && tries < 10; tries++)
        talks = listen_to(c);
    if (result < 0)
        return -1;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return fault_set(f, 502, "skopeo: %.400s", last_words(c));
    return 0;
}

static int run(int dir, const char *source, bool authenticated,
               const char *host, const struct skopeo_options *o,
               struct fault *f) {
    const char *argv[16] = {"skopeo"};
    size_t count = 1;
    struct child c = {.pid = -1, .errors = -1};
    if (!has_policy())
        argv[count++] = "--insecure-policy";
    argv[count++] = "--override-os=linux";
    argv[count++] = "copy";
    argv[count++] = "--quiet";
    if (authenticated)
        argv[count++] = "--src-authfile=" AUTH_FILE;
    if (is_loopback(host))
        argv[count++] = "--src-tls-verify=false";
    argv[count++] = source;
    argv[count++] = "oci:oci:image";
    if (start(&c, dir, (char *const *)argv, f) < 0)
        return -1;
    int result = supervise(&c, dir, o, f);
    close(c.errors);
    return result;
}

int skopeo_fetch(int dir, const char *source, const struct skopeo_options *o,
                 struct fault *f) {
    char host[512];
    bool authenticated = o->username && *o->username;
    source_host(source, host);
    if (authenticated && write_auth(dir, host, o, f) < 0)
        return -1;
    int result = run(dir, source, authenticated, host, o, f);
    if (authenticated && unlinkat(dir, AUTH_FILE, 0) < 0)
        result = fault_errno(f, "removing " AUTH_FILE);
    return result;
}
