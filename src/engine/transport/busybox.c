/* busybox.c: makes busybox:latest of the static busybox of this machine,
 * without a network. */
#define _GNU_SOURCE
#include "base/clock.h"
#include "base/descriptor.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/scope.h"
#include "base/uuid.h"
#include "layer/publish.h"
#include "transport/import.h"
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const places[] = {
    "/bin/busybox",        "/usr/bin/busybox",       "/sbin/busybox",
    "/usr/sbin/busybox",   "/usr/local/bin/busybox", "/bin/busybox.static",
    "/bin/busybox-static", "/usr/bin/busybox-static"};

static const struct {
    const char *path;
    mode_t mode;
} directories[] = {{"bin", 0755},     {"dev", 0755},     {"etc", 0755},
                   {"home", 0755},    {"lib", 0755},     {"mnt", 0755},
                   {"opt", 0755},     {"proc", 0555},    {"root", 0700},
                   {"run", 0755},     {"sbin", 0755},    {"srv", 0755},
                   {"sys", 0555},     {"tmp", 01777},    {"usr", 0755},
                   {"usr/bin", 0755}, {"usr/lib", 0755}, {"usr/sbin", 0755},
                   {"var", 0755},     {"var/log", 0755}, {"var/tmp", 01777}};

static const struct {
    const char *path, *text;
} files[] = {{"etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"
                            "daemon:x:1:1:daemon:/usr/sbin:/bin/false\n"
                            "nobody:x:65534:65534:nobody:/home:/bin/false\n"},
             {"etc/group", "root:x:0:\n"
                           "daemon:x:1:\n"
                           "tty:x:5:\n"
                           "users:x:100:\n"
                           "nogroup:x:65534:\n"}};

/* A program without an interpreter needs no libraries of the machine. */
static bool is_static(int fd) {
    ElfW(Ehdr) header;
    ElfW(Phdr) part;
    if (pread(fd, &header, sizeof header, 0) != sizeof header ||
        memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
        header.e_ident[EI_CLASS] != (sizeof(void *) == 8 ? 2 : 1) ||
        header.e_phentsize != sizeof part)
        return false;
    for (size_t i = 0; i < header.e_phnum; i++) {
        off_t at = (off_t)(header.e_phoff + i * sizeof part);
        if (pread(fd, &part, sizeof part, at) != sizeof part ||
            part.p_type == PT_INTERP)
            return false;
    }
    return header.e_phnum > 0;
}

int busybox_open(const char **path, struct fault *f) {
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        int fd CLEANUP(cleanup_close) = open(places[i], O_RDONLY | O_CLOEXEC);
        if (fd >= 0 && is_static(fd)) {
            *path = places[i];
            return steal_fd(&fd);
        }
    }
    return fault_set(f, 503,
                     "no static busybox on this machine to make " BUSYBOX_TAG
                     " of: install it (apt-get install busybox-static, or "
                     "apk add busybox-static), or import an image");
}

static int own(const struct importer *m, int root, const char *path,
               mode_t mode, struct fault *f) {
    if (fchownat(root, path, m->ids.base, m->ids.base, AT_SYMLINK_NOFOLLOW) <
            0 ||
        fchmodat(root, path, mode, 0) < 0)
        return fault_errno(f, "making %s", path);
    return 0;
}

static int make_directories(const struct importer *m, int root,
                            struct fault *f) {
    for (size_t i = 0; i < sizeof directories / sizeof *directories; i++) {
        if (mkdirat(root, directories[i].path, 0700) < 0)
            return fault_errno(f, "making %s", directories[i].path);
        if (own(m, root, directories[i].path, directories[i].mode, f) < 0)
            return -1;
    }
    return 0;
}

static int make_file(int root, const char *path) {
    return openat(root, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
}

static int make_files(const struct importer *m, int root, struct fault *f) {
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        const char *path = files[i].path, *text = files[i].text;
        int fd CLEANUP(cleanup_close) = make_file(root, path);
        if (fd < 0 || write_all(fd, text, strlen(text)) < 0)
            return fault_errno(f, "making %s", path);
        if (own(m, root, path, 0644, f) < 0)
            return -1;
    }
    return 0;
}

static int copy_program(const struct importer *m, int root, int from,
                        struct fault *f) {
    int to CLEANUP(cleanup_close) = make_file(root, "bin/busybox");
    if (to < 0)
        return fault_errno(f, "making bin/busybox");
    for (;;) {
        ssize_t n = sendfile(to, from, NULL, 1 << 30);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fault_errno(f, "copying busybox");
        if (n == 0)
            return own(m, root, "bin/busybox", 0755, f);
    }
}

/* Start "busybox --list-full"; return the end of a pipe that reads its output.
 */
static int start_listing(const char *path, pid_t *pid) {
    char *argv[] = {(char[]){"busybox"}, (char[]){"--list-full"}, NULL};
    char *envp[] = {NULL};
    int ends[2];
    posix_spawn_file_actions_t actions;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    int error = posix_spawn_file_actions_init(&actions);
    if (error == 0) {
        error = posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
        if (error == 0)
            error = posix_spawn(pid, path, &actions, NULL, argv, envp);
        posix_spawn_file_actions_destroy(&actions);
    }
    close_fd(ends[1]);
    if (error == 0)
        return ends[0];
    close_fd(ends[0]);
    errno = error;
    return -1;
}

/* Write the paths of the applets into `out`, one a line. */
static int list_applets(const char *path, char *out, size_t size,
                        struct fault *f) {
    pid_t pid;
    int status = -1;
    int fd CLEANUP(cleanup_close) = start_listing(path, &pid);
    if (fd < 0)
        return fault_errno(f, "running %s", path);
    ssize_t length = read_all(fd, out, size - 1);
    drop_fd(&fd); /* so that a busybox that prints too much ends */
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (length <= 0 || status != 0)
        return fault_set(f, 503, "%s --list-full failed", path);
    out[length] = 0;
    return 0;
}

/* Whether `path` is a plain name in bin, sbin, usr/bin or usr/sbin. */
static bool is_applet(const char *path) {
    const char *name = strrchr(path, '/');
    static const char *const dirs[] = {"bin", "sbin", "usr/bin", "usr/sbin"};
    if (!name || !name[1] || strcmp(path, "bin/busybox") == 0)
        return false;
    size_t length = (size_t)(name - path);
    for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++)
        if (strlen(dirs[i]) == length && memcmp(path, dirs[i], length) == 0)
            return strcmp(name + 1, ".") != 0 && strcmp(name + 1, "..") != 0;
    return false;
}

static int link_applets(const struct importer *m, int root, char *list,
                        struct fault *f) {
    char *rest = list, *path;
    while ((path = strsep(&rest, "\n"))) {
        if (!is_applet(path))
            continue;
        if (symlinkat("/bin/busybox", root, path) < 0 && errno != EEXIST)
            return fault_errno(f, "making %s", path);
        if (fchownat(root, path, m->ids.base, m->ids.base,
                     AT_SYMLINK_NOFOLLOW) < 0)
            return fault_errno(f, "making %s", path);
    }
    return 0;
}

static int fill(const struct importer *m, const struct workspace *w,
                struct fault *f) {
    const char *path = NULL;
    char list[32768];
    int program CLEANUP(cleanup_close) = busybox_open(&path, f);
    if (program < 0)
        return -1;
    int root CLEANUP(cleanup_close) =
        openat(m->dir_fd, w->upper, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return fault_errno(f, "opening a workspace");
    if (make_directories(m, root, f) < 0 || make_files(m, root, f) < 0 ||
        copy_program(m, root, program, f) < 0 ||
        list_applets(path, list, sizeof list, f) < 0)
        return -1;
    return link_applets(m, root, list, f);
}

int import_busybox(const struct importer *m, struct fault *f) {
    struct image i = {.tag = BUSYBOX_TAG, .created = wall_microseconds()};
    struct workspace w;
    struct fault none;
    if (store_image_by_tag(m->store, BUSYBOX_TAG, &i, &none) == 0) {
        image_clear(&i);
        return 0;
    }
    if (none.status != 404) {
        if (f)
            *f = none;
        return -1;
    }
    if (workspace_take_for_import(m->layers, &w, f) < 0)
        return -1;
    if (fill(m, &w, f) < 0) {
        workspace_drop(m->layers, &w);
        return -1;
    }
    uuid_ordered(i.uuid);
    return workspace_publish_image(m->layers, &w, 0, &i, f);
}
