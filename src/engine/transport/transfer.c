/* transfer.c: see transfer.h. */
#define _GNU_SOURCE
#include "transport/transfer.h"
#include "base/descriptor.h"
#include "base/fd.h"
#include "base/scope.h"
#include "transport/export.h"
#include "unpack/kind.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* How often to check, while a FIFO is silent, whether the caller is gone. */
enum { SILENT_MS = 100 };

/* Wait until a FIFO has its first byte, or its writer has come and gone. There
 * is no time limit: the writer may work for minutes before its first byte. */
static int await_fifo(int fd, const struct image_transfer *t, struct fault *f) {
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

static int open_source(const struct image_transfer *t, struct fault *f) {
    if (strcmp(t->operand, "-") == 0)
        return fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
    /* Not blocking, so that waiting for the writer of a FIFO can be cancelled.
     */
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

static int import_archive(const struct importer *m,
                          const struct image_transfer *t,
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

/* Check the file of KIND:FILE[:NAME], since skopeo's message about a missing
 * file would sound as if a registry had failed. */
static int check_archive(const char *source, struct fault *f) {
    char *path CLEANUP(cleanup_free) = strdup(strchr(source, ':') + 1);
    if (!path)
        return fault_memory(f);
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

static int import_source(const struct importer *m,
                         const struct image_transfer *t, struct image *image,
                         struct fault *f) {
    const struct import_options how = {.tag = t->tag,
                                       .deadline = {0, t->cancelled}};
    const char *source = t->operand;
    if (t->tag && tag_check(t->tag, f) < 0)
        return -1;
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

/* Make a file beside `name` with a name of its own, which `temporary` gets. */
static int make_beside(const char *name, char temporary[PATH_MAX],
                       struct fault *f) {
    char uuid[UUID_SIZE];
    const char *slash = strrchr(name, '/');
    int directory = slash ? (int)(slash - name) + 1 : 0;
    uuid_random(uuid);
    if (snprintf(temporary, PATH_MAX, "%.*s.contree-export-%s", directory, name,
                 uuid) >= PATH_MAX)
        return fault_set(f, 400, "the name of the file is too long");
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    return fd < 0 ? fault_path(f, "cannot make %s", temporary) : fd;
}

/* The file appears when it is complete, or not at all. */
static int export_whole(const struct importer *m, const struct image *i,
                        const char *name, struct fault *f) {
    char temporary[PATH_MAX];
    int fd CLEANUP(cleanup_close) = make_beside(name, temporary, f);
    if (fd < 0)
        return -1;
    int result = export_tar(m, i, fd, f);
    if (result == 0 && rename(temporary, name) < 0)
        result = fault_path(f, "cannot make %s", name);
    if (result < 0)
        unlink(temporary);
    return result;
}

/* Write to a device or a pipe, such as /dev/stdout. */
static int export_stream(const struct importer *m, const struct image *i,
                         const char *name, struct fault *f) {
    int fd CLEANUP(cleanup_close) =
        open(name, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || set_blocking(fd) < 0)
        return fault_path(f, "cannot write to %s", name);
    return export_tar(m, i, fd, f);
}

static int export_file(const struct importer *m, const struct image *i,
                       const char *name, struct fault *f) {
    struct stat st;
    bool whole = stat(name, &st) < 0 || S_ISREG(st.st_mode);
    return (whole ? export_whole : export_stream)(m, i, name, f);
}

bool transfer_is_stdout(const char *output) {
    return !output || strcmp(output, "-") == 0;
}

static int export_image(const struct importer *m,
                        const struct image_transfer *t, struct image *image,
                        struct fault *f) {
    if (export_resolve(m->store, t->operand, image, f) < 0)
        return -1;
    int result =
        t->registry
            ? registry_push(m, image, t->registry, &t->login, t->cancelled, f)
        : t->oci                        ? export_oci(m, image, t->oci, f)
        : transfer_is_stdout(t->output) ? export_tar(m, image, STDOUT_FILENO, f)
                                        : export_file(m, image, t->output, f);
    if (result < 0)
        image_clear(image);
    return result;
}

int transfer_run(const struct importer *m, const struct image_transfer *t,
                 char uuid[UUID_SIZE], struct fault *f) {
    struct image image;
    if ((t->out ? export_image : import_source)(m, t, &image, f) < 0)
        return -1;
    memcpy(uuid, image.uuid, UUID_SIZE);
    image_clear(&image);
    return 0;
}
