/* ids.c: see ids.h. */
#define _GNU_SOURCE
#include "base/ids.h"
#include "base/descriptor.h"
#include "base/scope.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>

enum { USER_MAX = 256 };

bool user_is_valid(const char *text) {
    size_t length = strlen(text);
    for (const char *c = text; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 127)
            return false;
    return length > 0 && length <= USER_MAX && *text != ':';
}

void leave_chroot(void) {
    int fd CLEANUP(cleanup_close) =
        open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && setns(fd, CLONE_NEWNS) < 0)
        errno = 0; /* not for us to leave */
}
