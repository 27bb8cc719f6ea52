#define _GNU_SOURCE /* memfd_create */
#include "init/handoff.h"
#include "init/mounts.h"

#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

const char *const handoff_namespace_names[HANDOFF_NAMESPACES] = {"mnt", "pid",
                                                                 "ipc", "uts"};

int handoff_namespaces(uint64_t out[HANDOFF_NAMESPACES], struct failure *f) {
    for (int i = 0; i < HANDOFF_NAMESPACES; i++) {
        char path[32];
        struct stat st;
        snprintf(path, sizeof path, "/proc/self/ns/%s",
                 handoff_namespace_names[i]);
        if (stat(path, &st) < 0)
            return fail_errno(f, "cannot look at %s", path);
        out[i] = st.st_ino;
    }
    return 0;
}

static int write_all(int fd, const struct handoff *h,
                     const struct cell_limits *limits) {
    const ssize_t head = offsetof(struct handoff, filter);
    const ssize_t size = limits->filter_length * sizeof *limits->filter;
    return write(fd, h, head) == head && write(fd, limits->filter, size) == size
               ? 0
               : -1;
}

int handoff_write(const struct cell_limits *limits,
                  const struct root_spec *root, unsigned group_count,
                  struct failure *f) {
    struct handoff h = {.max_file_bytes = root->max_file_bytes,
                        .max_processes = root->max_processes,
                        .group_count = group_count,
                        .fixed_proc = limits->fixed_proc,
                        .mounts = root->mounts->placed,
                        .traced = limits->traced,
                        .filter_length = limits->filter_length};
    if (handoff_namespaces(h.namespaces, f) < 0)
        return -1;
    int fd = memfd_create("handoff", MFD_CLOEXEC);
    if (fd < 0 || write_all(fd, &h, limits) < 0) {
        fail_errno(f, "cannot tell the sandbox's init its limits");
        if (fd >= 0)
            close(fd);
        return -1;
    }
    return fd;
}

struct handoff *handoff_take(void) {
    struct stat st;
    if (fstat(INSIDE_HANDOFF, &st) < 0 ||
        st.st_size < (off_t)sizeof(struct handoff))
        return NULL;
    void *map = mmap(NULL, st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED,
                     INSIDE_HANDOFF, 0);
    return map == MAP_FAILED ? NULL : map;
}

bool handoff_has_begun(int fd) {
    struct handoff h;
    return pread(fd, &h, sizeof h, 0) == sizeof h && h.begun;
}
