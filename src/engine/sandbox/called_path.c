/* called_path.c: see called_path.h. */
#define _GNU_SOURCE
#include "sandbox/called_path.h"
#include "base/json.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* Reads up to the end of the page: behind it there may be nothing. */
static ssize_t read_page(pid_t pid, uint64_t address, void *to, size_t size) {
    const size_t page = 4096;
    size_t rest = page - address % page;
    struct iovec here = {to, size < rest ? size : rest};
    struct iovec there = {(void *)(uintptr_t)address, here.iov_len};
    return process_vm_readv(pid, &here, 1, &there, 1, 0);
}

static bool read_text(pid_t pid, uint64_t address, char text[PATH_MAX]) {
    size_t got = 0;
    while (got < PATH_MAX) {
        ssize_t n = read_page(pid, address + got, text + got, PATH_MAX - got);
        if (n <= 0)
            return false;
        if (memchr(text + got, '\0', (size_t)n))
            return json_is_utf8(text, strlen(text));
        got += (size_t)n;
    }
    return false;
}

static bool read_link(pid_t pid, const char *name, char text[PATH_MAX]) {
    char link[64];
    snprintf(link, sizeof link, "/proc/%d/%s", pid, name);
    ssize_t n = readlink(link, text, PATH_MAX - 1);
    text[n > 0 ? n : 0] = '\0';
    return *text == '/' && json_is_utf8(text, strlen(text));
}

/* Where the path begins: at the root of the process, or in a directory. */
static bool read_base(pid_t pid, int dir, bool absolute, char base[PATH_MAX]) {
    char name[32];
    if (absolute)
        return read_link(pid, "root", base);
    if (dir == AT_FDCWD)
        return read_link(pid, "cwd", base);
    snprintf(name, sizeof name, "fd/%d", dir);
    return read_link(pid, name, base);
}

/* Takes out empty names, "." and "..", in place; it begins with "/". */
static void normalize(char *path) {
    char *to = path;
    for (char *from = path; *from;) {
        size_t length = strcspn(++from, "/");
        if (length == 2 && memcmp(from, "..", 2) == 0) {
            while (to > path && *--to != '/')
                ;
        } else if (length > 1 || (length == 1 && *from != '.')) {
            *to++ = '/';
            memmove(to, from, length);
            to += length;
        }
        from += length;
    }
    if (to == path)
        *to++ = '/';
    *to = '\0';
}

bool called_path(pid_t pid, const struct path_call *c,
                 const struct seccomp_data *call, char path[PATH_MAX]) {
    char base[PATH_MAX], name[PATH_MAX], whole[2 * PATH_MAX];
    int dir = c->dir < 0 ? AT_FDCWD : (int)call->args[c->dir];
    if (!read_text(pid, call->args[c->path], name))
        return false;
    if (strcmp(name, "/proc/self/exe") == 0) /* as BusyBox executes itself */
        return read_link(pid, "exe", path);
    if (!read_base(pid, dir, *name == '/', base))
        return false;
    snprintf(whole, sizeof whole, "%s/%s", base, name);
    normalize(whole);
    size_t length = strlen(whole);
    if (length >= PATH_MAX)
        return false;
    memcpy(path, whole, length + 1);
    return true;
}

uint64_t called_flags(pid_t pid, const struct path_call *c,
                      const struct seccomp_data *call) {
    uint64_t flags = O_WRONLY | O_CREAT; /* creat(2) */
    if (c->flags >= 0)
        return call->args[c->flags];
    if (call->nr == SYS_openat2 &&
        read_page(pid, call->args[2], &flags, sizeof flags) != sizeof flags)
        return O_RDONLY;
    return flags;
}
