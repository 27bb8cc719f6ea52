/* temp_dir.h: temporary directories. */
#ifndef CONTREE_TEMP_DIR_H
#define CONTREE_TEMP_DIR_H

#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

struct temp_dir {
    char path[64];
    int fd;
    bool mounted;
};

/* Run a shell command; true when it exits with 0. */
__attribute__((format(printf, 1, 2))) static inline bool
shell(const char *format, ...) {
    char line[4096];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    fflush(stdout);
    return system(line) == 0;
}

/* Make a directory, on the disk because tmpfs lacks user.* attributes on older
 * kernels. */
static inline struct temp_dir temp_dir_make(void) {
    struct temp_dir d = {.path = "/var/tmp/contree-test-XXXXXX"};
    if (!mkdtemp(d.path))
        perror(d.path);
    d.fd = open(d.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return d;
}

/* Mount a tmpfs of `kilobytes`, for tests that run out of space. */
static inline struct temp_dir temp_dir_small(int kilobytes) {
    struct temp_dir d = temp_dir_make();
    char options[64];
    snprintf(options, sizeof options, "size=%dk,mode=700", kilobytes);
    d.mounted = mount("contree-test", d.path, "tmpfs", 0, options) == 0;
    close(d.fd);
    d.fd = open(d.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return d;
}

/* Whether the directory can hold layers: a tmpfs can from Linux 6.6 on. Prints
 * a note if not. */
static inline bool temp_dir_holds_layers(const struct temp_dir *d) {
    bool holds = fsetxattr(d->fd, "user.x", "", 0, 0) == 0;
    if (!holds)
        puts("# not tried: this kernel's tmpfs has no user attributes");
    return holds;
}

static inline void temp_dir_remove(struct temp_dir *d) {
    close(d->fd);
    if (d->mounted)
        umount2(d->path, MNT_DETACH);
    shell("rm -rf %s", d->path);
}

#endif
