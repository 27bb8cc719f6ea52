/* transfer.c: see transfer.h. */
#define _GNU_SOURCE
#include "command/transfer.h"
#include "base/buffer.h"
#include "base/descriptor.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/scope.h"
#include "command/client.h"
#include "command/data.h"
#include "layer/trash.h"
#include "transport/transfer.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE = 1 << 17 };

static bool starts(const char *text, const char *with) {
    return strncmp(text, with, strlen(with)) == 0;
}

/* ---- our standard input or output, for the engine ---- */

/* A FIFO that the engine opens, and a thread that copies between the FIFO and
 * our stream. */
struct relay {
    char directory[256], path[264];
    bool out;
    int in_fd; /* out: our end, which we open first */
    pthread_t thread;
    bool started;
};

static void copy_all(int from, int to) {
    char *piece CLEANUP(cleanup_free) = malloc(PIECE);
    ssize_t n = 0;
    while (piece && (n = read(from, piece, PIECE)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 || write_all(to, piece, (size_t)n) < 0)
            return; /* the engine finds its input cut */
    }
}

/* Remove the FIFO's name once both ends are open: then none is left behind,
 * however this process ends. */
static void drop_name(const struct relay *r) {
    unlink(r->path);
    rmdir(r->directory);
}

static void *run_relay(void *arg) {
    struct relay *r = arg;
    if (r->out) {
        struct pollfd p = {.fd = r->in_fd, .events = POLLIN};
        if (poll(&p, 1, -1) > 0) {
            drop_name(r);
            copy_all(r->in_fd, STDOUT_FILENO);
        }
        drop_fd(&r->in_fd); /* the engine gets EPIPE */
        return NULL;
    }
    int to CLEANUP(cleanup_close) = open(r->path, O_WRONLY | O_CLOEXEC);
    if (to >= 0) {
        drop_name(r);
        copy_all(STDIN_FILENO, to);
    }
    return NULL;
}

static int relay_start(struct relay *r, bool out, struct fault *f) {
    const char *base = getenv("TMPDIR");
    *r = (struct relay){.out = out, .in_fd = -1};
    snprintf(r->directory, sizeof r->directory, "%.200s/contree-XXXXXX",
             base && strlen(base) <= 200 ? base : "/tmp");
    if (!mkdtemp(r->directory))
        return fault_errno(f, "making %s", r->directory);
    snprintf(r->path, sizeof r->path, "%s/tar", r->directory);
    if (mkfifo(r->path, 0600) < 0)
        return fault_errno(f, "making %s", r->path);
    if (out &&
        ((r->in_fd = open(r->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)) < 0 ||
         set_blocking(r->in_fd) < 0))
        return fault_errno(f, "opening %s", r->path);
    r->started = pthread_create(&r->thread, NULL, run_relay, r) == 0;
    return r->started ? 0 : fault_set(f, 500, "no thread for the archive");
}

/* End the relay. After a success, copy the rest of the output first. */
static void relay_end(struct relay *r, bool copied) {
    if (r->started && r->out && copied)
        pthread_join(r->thread, NULL);
    drop_name(r);
}

/* ---- the commands ---- */

/* Make the path in an operand absolute: "oci:DIR" and its like, or FILE. */
static char *absolute_operand(const char *operand) {
    static const char *const prefixes[] = {
        "oci:", "oci-archive:", "docker-archive:", ""};
    char *cwd CLEANUP(cleanup_free) = getcwd(NULL, 0);
    char *out = NULL;
    size_t i = 0;
    if (starts(operand, "docker://"))
        return strdup(operand);
    while (!starts(operand, prefixes[i]))
        i++;
    const char *path = operand + strlen(prefixes[i]);
    bool relative = *path != '/' && cwd;
    if (asprintf(&out, "%s%s%s%s", prefixes[i], relative ? cwd : "",
                 relative ? "/" : "", path) < 0)
        return NULL;
    return out;
}

static int post(const struct options *o, const struct image_transfer *t,
                const char *fifo, char uuid[UUID_SIZE], struct fault *f) {
    struct buffer body;
    const char *paths[] = {t->out || fifo ? NULL : t->operand, t->output,
                           t->oci};
    char *absolute[3] = {0};
    for (int i = 0; i < 3; i++)
        absolute[i] = paths[i] ? absolute_operand(paths[i]) : NULL;
    buffer_init(&body, 65536);
    json_open(&body, NULL, '{');
    json_add_string(&body, "operand",
                    t->out ? t->operand
                    : fifo ? fifo
                           : absolute[0]);
    json_add_optional(&body, "tag", t->tag ? t->tag : "");
    json_add_optional(&body, "output",
                      t->oci           ? ""
                      : t->out && fifo ? fifo
                      : absolute[1]    ? absolute[1]
                                       : "");
    json_add_optional(&body, "oci", absolute[2] ? absolute[2] : "");
    json_t *reply = local_post(o, t->out ? "export" : "import", &body, f);
    for (int i = 0; i < 3; i++)
        free(absolute[i]);
    if (!reply)
        return -1;
    const char *got = json_string_value(json_object_get(reply, "uuid"));
    snprintf(uuid, UUID_SIZE, "%s", got ? got : "");
    json_decref(reply);
    return 0;
}

/* Let the engine do it that serves the data directory. */
static int ask_engine(const struct options *o, const struct image_transfer *t,
                      char uuid[UUID_SIZE], struct fault *f) {
    bool streamed = t->out ? !t->oci && transfer_is_stdout(t->output)
                           : strcmp(t->operand, "-") == 0;
    struct relay r;
    if (!streamed)
        return post(o, t, NULL, uuid, f);
    int result = relay_start(&r, t->out, f);
    if (result == 0)
        result = post(o, t, r.path, uuid, f);
    relay_end(&r, result == 0);
    return result;
}

static int run_command(const struct options *o, const struct image_transfer *t,
                       char uuid[UUID_SIZE], struct fault *f) {
    struct engine e = {.config = &o->config, .dir_fd = -1};
    signal(SIGPIPE, SIG_IGN);
    int result = data_open(&e, f);
    if (result == 0) {
        const struct importer m = {e.dir_fd, e.store, e.layers, e.ids};
        result = transfer_run(&m, t, uuid, f);
        trash_empty(e.layers);
    } else if (local_is_served(&e, f)) {
        result = ask_engine(o, t, uuid, f);
    }
    data_close(&e);
    return result;
}

int import_command(const struct options *o, struct fault *f) {
    const struct image_transfer t = {.operand = o->operand, .tag = o->tag};
    char uuid[UUID_SIZE];
    if (run_command(o, &t, uuid, f) < 0)
        return -1;
    puts(uuid);
    return 0;
}

int export_command(const struct options *o, struct fault *f) {
    const struct image_transfer t = {
        .out = true, .operand = o->operand, .output = o->output, .oci = o->oci};
    char uuid[UUID_SIZE];
    if (!o->oci && transfer_is_stdout(o->output) && isatty(STDOUT_FILENO))
        return fault_set(f, 400,
                         "standard output is a terminal: use -o FILE, or send "
                         "the tar into a pipe or a file");
    return run_command(o, &t, uuid, f);
}
