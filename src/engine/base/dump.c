/* dump.c: see dump.h. */
#define _GNU_SOURCE
#include "base/dump.h"
#include "base/descriptor.h"
#include <fcntl.h>
#include <unistd.h>

void dump_without_memory(void) {
    static bool done;
    int fd =
        done ? -1 : open("/proc/self/coredump_filter", O_WRONLY | O_CLOEXEC);
    done = done || (fd >= 0 && write(fd, "0", 1) == 1);
    close_fd(fd);
}
