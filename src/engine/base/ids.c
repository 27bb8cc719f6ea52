/* ids.c: see ids.h. */
#define _GNU_SOURCE
#include "base/ids.h"
#include "base/descriptor.h"
#include "base/scope.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

enum { USER_MAX = 256 };

bool user_is_valid(const char *text) {
    size_t length = strlen(text);
    for (const char *c = text; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 127)
            return false;
    return length > 0 && length <= USER_MAX && *text != ':';
}

void ids_map(const struct id_range *ids, const char *own,
             char text[IDS_MAP_SIZE]) {
    enum { LINE = 40 };
    const uint64_t first = ids->base, end = first + ids->count;
    unsigned inside, count;
    int used = 0;
    FILE *file = fopen(own, "re");
    while (file && used < IDS_MAP_SIZE - LINE &&
           fscanf(file, "%u %*u %u", &inside, &count) == 2) {
        uint64_t from = inside > first ? inside : first;
        uint64_t to = (uint64_t)inside + count;
        if (to > end)
            to = end;
        if (from < to)
            used += snprintf(text + used, IDS_MAP_SIZE - used, "%u %u %u\n",
                             (unsigned)(from - first), (unsigned)from,
                             (unsigned)(to - from));
    }
    if (file)
        fclose(file);
    if (used == 0)
        snprintf(text, IDS_MAP_SIZE, "0 %u %u\n", (unsigned)ids->base,
                 (unsigned)ids->count);
}

void leave_chroot(void) {
    int fd CLEANUP(cleanup_close) =
        open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && setns(fd, CLONE_NEWNS) < 0)
        errno = 0; /* not for us to leave */
}
