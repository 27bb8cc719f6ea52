/* test_called_path.c: sandbox/called_path.h, with this process as the one that
 * waits in a call. */
#define _GNU_SOURCE
#include "check.h"
#include "sandbox/called_path.h"
#include "temp_dir.h"
#include <linux/openat2.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>

static bool path_of(int number, int dir, const char *name,
                    char path[PATH_MAX]) {
    const struct path_call *c = path_call_find(number);
    struct seccomp_data call = {.nr = number};
    if (c->dir >= 0)
        call.args[c->dir] = (uint64_t)dir;
    call.args[c->path] = (uint64_t)(uintptr_t)name;
    return called_path(getpid(), c, &call, path);
}

static void check_path(int number, int dir, const char *name,
                       const char *wanted) {
    char path[PATH_MAX] = "";
    CHECK(path_of(number, dir, name, path));
    CHECK_STRING(path, wanted);
}

static void test_where_it_begins(void) {
    char here[PATH_MAX], wanted[PATH_MAX + 8];
    int bin = open("/usr/bin", O_PATH | O_DIRECTORY | O_CLOEXEC);
    CHECK(getcwd(here, sizeof here));
    snprintf(wanted, sizeof wanted, "%s/x", here);
    check_path(SYS_openat, AT_FDCWD, "x", wanted);
    check_path(SYS_openat, bin, "x", "/usr/bin/x");
    check_path(SYS_openat2, bin, "x/y", "/usr/bin/x/y");
    check_path(SYS_execveat, bin, "../x", "/usr/x");
    check_path(SYS_execve, bin, "x", wanted);
    check_path(SYS_openat, bin, "/x", "/x");
    check_path(SYS_openat, 999, "/x", "/x");
    CHECK(!path_of(SYS_openat, 999, "x", wanted));
    close(bin);
}

static void test_spelling(void) {
    static const char *const spelled[][2] = {
        {"/", "/"},           {"//a///b/", "/a/b"}, {"/./a/./b/.", "/a/b"},
        {"/a/../b", "/b"},    {"/a/b/../..", "/"},  {"/../../a", "/a"},
        {"/a/..b", "/a/..b"}, {"/a/...", "/a/..."}, {"/a/.b/c.", "/a/.b/c."},
        {"/ab/../c", "/c"},   {"/xy/z", "/xy/z"},   {"/a/b/../c/..", "/a"}};
    for (size_t i = 0; i < sizeof spelled / sizeof *spelled; i++)
        check_path(SYS_openat, AT_FDCWD, spelled[i][0], spelled[i][1]);
}

/* A path may end where the memory does, and go on where the next page is. */
static void test_memory(void) {
    enum { PAGE = 4096 };
    char path[PATH_MAX];
    char *pages = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(pages != MAP_FAILED && munmap(pages + 3 * PAGE, PAGE) == 0);
    memcpy(pages + 3 * PAGE - 5, "/end", 5);
    check_path(SYS_openat, AT_FDCWD, pages + 3 * PAGE - 5, "/end");
    memcpy(pages + PAGE - 4, "/across", 8);
    check_path(SYS_openat, AT_FDCWD, pages + PAGE - 4, "/across");
    memset(pages + 3 * PAGE - 8, '/', 8);
    CHECK(!path_of(SYS_openat, AT_FDCWD, pages + 3 * PAGE - 8, path));
    CHECK(!path_of(SYS_openat, AT_FDCWD, NULL, path));
    memset(pages, 'x', 3 * PAGE);
    CHECK(!path_of(SYS_openat, AT_FDCWD, pages, path)); /* too long */
    CHECK(!path_of(SYS_openat, AT_FDCWD, "/\xff", path));
    munmap(pages, 3 * PAGE);
}

static uint64_t flags_of(int number, uint64_t third, uint64_t second) {
    struct seccomp_data call = {.nr = number};
    call.args[2] = third;
    call.args[1] = second;
    return called_flags(getpid(), path_call_find(number), &call);
}

static void test_flags(void) {
    const struct open_how how = {.flags = O_RDWR | O_TRUNC};
    CHECK_NUMBER(flags_of(SYS_openat, O_WRONLY, 0), O_WRONLY);
    CHECK_NUMBER(flags_of(SYS_openat2, (uint64_t)(uintptr_t)&how, 0),
                 O_RDWR | O_TRUNC);
    CHECK_NUMBER(flags_of(SYS_openat2, 0, 0), O_RDONLY);
#ifdef SYS_open
    CHECK_NUMBER(flags_of(SYS_open, 0, O_APPEND), O_APPEND);
    CHECK_NUMBER(flags_of(SYS_creat, 0, 0644), O_WRONLY | O_CREAT);
#endif
}

int main(void) {
    RUN(test_where_it_begins, "a path begins at the root or in a directory");
    RUN(test_spelling, "dots and slashes are taken out");
    RUN(test_memory, "a path is read as far as there is memory");
    RUN(test_flags, "the flags of each call that opens a file");
    return CHECK_DONE();
}
