/* transfer.c: see transfer.h. */
#define _GNU_SOURCE
#include "command/transfer.h"
#include "base/json.h"
#include "command/client.h"
#include "command/data.h"
#include "transport/export.h"
#include "unpack/kind.h"
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

/* While a FIFO is silent, it is asked this often whether the caller is gone. */
enum { SILENT_MS = 100, PIECE = 1 << 17 };

/* ---- the work ---- */

static int set_blocking(int fd) {
    int flags = fcntl(fd, F_GETFL);
    return flags < 0 ? -1 : fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
}

/* Waits until a FIFO has its first byte, or its writer has come and gone. There
 * is no time limit: what writes may itself work for minutes before it does. */
static int await_fifo(int fd, const struct transfer *t, struct fault *f) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    struct stat st;
    if (fstat(fd, &st) < 0 || set_blocking(fd) < 0)
        return fault_errno(f, "opening the source");
    while (S_ISFIFO(st.st_mode)) {
        int n = poll(&p, 1, SILENT_MS);
        if (n > 0)
            break;
        if (n < 0 && errno != EINTR)
            return fault_errno(f, "waiting for %s", t->operand);
        if (t->cancelled && *t->cancelled)
            return fault_set(f, 409, "cancelled");
    }
    return 0;
}

static int open_source(const struct transfer *t, struct fault *f) {
    if (strcmp(t->operand, "-") == 0)
        return fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
    /* Not blocking, so that a FIFO without a writer can be given up. */
    int fd CLEANUP(cleanup_close) =
        open(t->operand, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return fault_path(f, "cannot read %s", t->operand);
    return await_fifo(fd, t, f) < 0 ? -1 : steal_fd(&fd);
}

static int refuse_directory(int dir, const char *path, struct fault *f) {
    char inner[NAME_MAX + 1];
    if (kind_of_tree(dir, inner) == TREE_DIR)
        return fault_set(f, 422,
                         "%.200s is an image as skopeo keeps it: skopeo copy "
                         "dir:%.200s oci:NEW, then contree-engine import "
                         "oci:NEW",
                         path, path);
    return fault_set(f, 422,
                     "%.200s is no OCI layout. If it is a root file system: "
                     "tar -C %.200s -c . | contree-engine import -",
                     path, path);
}

/* DIR or DIR:NAME. */
static int import_directory(const struct importer *m, const char *source,
                            const struct import_options *how, struct image *i,
                            struct fault *f) {
    char *path CLEANUP(cleanup_free) = strdup(source);
    char *name = path ? strchr(path, ':') : NULL;
    char inner[NAME_MAX + 1];
    if (name)
        *name++ = 0;
    int dir CLEANUP(cleanup_close) =
        path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (dir < 0)
        return fault_path(f, "cannot read %s", path ? path : "");
    if (kind_of_tree(dir, inner) != TREE_OCI &&
        faccessat(dir, "index.json", F_OK, 0) < 0)
        return refuse_directory(dir, path, f);
    return import_layout(m, dir, name, how, i, f);
}

static bool is_directory(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int import_archive(const struct importer *m, const struct transfer *t,
                          const struct import_options *how, struct image *i,
                          struct fault *f) {
    struct import_options o = *how;
    struct stat st;
    if (is_directory(t->operand))
        return import_directory(m, t->operand, how, i, f);
    int fd CLEANUP(cleanup_close) = open_source(t, f);
    if (fd >= 0 && strcmp(t->operand, "-") != 0 && fstat(fd, &st) == 0 &&
        S_ISREG(st.st_mode))
        o.file = t->operand;
    return fd < 0 ? -1 : import_tar(m, fd, &o, i, f);
}

static bool starts(const char *text, const char *with) {
    return strncmp(text, with, strlen(with)) == 0;
}

/* KIND:FILE or KIND:FILE:NAME: skopeo's words about a file that is not there
 * would sound like a registry's. */
static int check_archive(const char *source, struct fault *f) {
    char *path CLEANUP(cleanup_free) = strdup(strchr(source, ':') + 1);
    if (!path)
        return fault_set(f, 500, "out of memory");
    path[strcspn(path, ":")] = 0;
    int fd CLEANUP(cleanup_close) =
        open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return fault_path(f, "cannot read %s", path);
    return S_ISDIR(st.st_mode)
               ? fault_set(f, 422, "cannot read %s: it is a directory", path)
               : 0;
}

static int import_source(const struct importer *m, const struct transfer *t,
                         struct image *image, struct fault *f) {
    const struct import_options how = {.tag = t->tag,
                                       .cancelled = t->cancelled};
    const char *source = t->operand;
    if (t->tag && !tag_is_valid(t->tag))
        return fault_set(f, 400, "malformed tag '%.64s'", t->tag);
    if (starts(source, "docker://"))
        return import_registry(m, source, NULL, NULL, &how, image, f);
    if (starts(source, "docker-archive:") || starts(source, "oci-archive:"))
        return check_archive(source, f) < 0
                   ? -1
                   : import_saved(m, source, &how, image, f);
    if (starts(source, "oci:"))
        return import_directory(m, source + 4, &how, image, f);
    return import_archive(m, t, &how, image, f);
}

/* The file appears when it is complete, or not at all. What is there already
 * and no file, such as /dev/stdout, is written to. */
static int export_file(const struct importer *m, const struct image *i,
                       const char *name, struct fault *f) {
    char part[PATH_MAX];
    struct stat st;
    bool whole = stat(name, &st) < 0 || S_ISREG(st.st_mode);
    if (snprintf(part, sizeof part, "%s%s", name, whole ? ".part" : "") >=
        (int)sizeof part)
        return fault_set(f, 400, "too long a name for a file");
    int fd CLEANUP(cleanup_close) =
        open(part, O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK | O_CLOEXEC, 0666);
    if (fd < 0 || set_blocking(fd) < 0)
        return fault_path(f, "cannot make %s", part);
    int result = export_tar(m, i, fd, f);
    if (result == 0 && whole && rename(part, name) < 0)
        result = fault_path(f, "cannot make %s", name);
    if (result < 0 && whole)
        unlink(part);
    return result;
}

static bool is_stdout(const char *output) {
    return !output || strcmp(output, "-") == 0;
}

static int export_image(const struct importer *m, const struct transfer *t,
                        struct image *image, struct fault *f) {
    if (export_resolve(m->store, t->operand, image, f) < 0)
        return -1;
    int result = t->oci                 ? export_oci(m, image, t->oci, f)
                 : is_stdout(t->output) ? export_tar(m, image, STDOUT_FILENO, f)
                                        : export_file(m, image, t->output, f);
    if (result < 0)
        image_clear(image);
    return result;
}

int transfer_run(const struct importer *m, const struct transfer *t,
                 char uuid[UUID_SIZE], struct fault *f) {
    struct image image;
    if ((t->out ? export_image : import_source)(m, t, &image, f) < 0)
        return -1;
    memcpy(uuid, image.uuid, UUID_SIZE);
    image_clear(&image);
    return 0;
}

/* ---- a standard stream of ours, for the engine ---- */

/* A FIFO that the engine opens, and the thread that copies between the two. */
struct relay {
    char directory[256], path[264];
    bool out;
    int in_fd; /* out: our end, open before the engine's */
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
            return; /* the engine finds what it got to be cut */
    }
}

/* Both ends are open: whatever ends us now, no name is left behind. */
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
        drop_fd(&r->in_fd); /* the engine learns that nobody reads any more */
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

/* After the engine's reply: what it wrote is still to be copied. */
static void relay_end(struct relay *r, bool copied) {
    if (r->started && r->out && copied)
        pthread_join(r->thread, NULL);
    drop_name(r);
}

/* ---- the commands ---- */

/* "oci:DIR" and its like, FILE, or what is no path. */
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

static int post(const struct options *o, const struct transfer *t,
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

/* Has the engine do it that serves the data directory. */
static int ask_engine(const struct options *o, const struct transfer *t,
                      char uuid[UUID_SIZE], struct fault *f) {
    bool streamed =
        t->out ? !t->oci && is_stdout(t->output) : strcmp(t->operand, "-") == 0;
    struct relay r;
    if (!streamed)
        return post(o, t, NULL, uuid, f);
    int result = relay_start(&r, t->out, f);
    if (result == 0)
        result = post(o, t, r.path, uuid, f);
    relay_end(&r, result == 0);
    return result;
}

static int run_command(const struct options *o, const struct transfer *t,
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
    const struct transfer t = {.operand = o->operand, .tag = o->tag};
    char uuid[UUID_SIZE];
    if (run_command(o, &t, uuid, f) < 0)
        return -1;
    puts(uuid);
    return 0;
}

int export_command(const struct options *o, struct fault *f) {
    const struct transfer t = {
        .out = true, .operand = o->operand, .output = o->output, .oci = o->oci};
    char uuid[UUID_SIZE];
    if (!o->oci && is_stdout(o->output) && isatty(STDOUT_FILENO))
        return fault_set(f, 400,
                         "a tar does no terminal good: use -o FILE, or send "
                         "it into a pipe or a file");
    return run_command(o, &t, uuid, f);
}
