/* test_base.c: faults, buffers, descriptors and other parts of base/. */
#define _GNU_SOURCE
#include "base/buffer.h"
#include "base/clock.h"
#include "base/descriptor.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/scope.h"
#include "base/uuid.h"
#include "check.h"
#include "temp_dir.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static void faults(void) {
    struct fault f;
    CHECK_NUMBER(fault_set(&f, 404, "no image %d", 7), -1);
    CHECK_NUMBER(f.status, 404);
    CHECK_STRING(f.message, "no image 7");
    errno = ENOSPC;
    CHECK_NUMBER(fault_errno(&f, "writing %s", "x"), -1);
    CHECK_NUMBER(f.status, 507);
    CHECK_STRING(f.message, "writing x: No space left on device");
    errno = EDQUOT;
    fault_errno(&f, "x");
    CHECK_NUMBER(f.status, 507);
    errno = EIO;
    fault_errno(&f, "x");
    CHECK_NUMBER(f.status, 500);
    CHECK_NUMBER(errno, EIO);
    CHECK_NUMBER(fault_memory(&f), -1);
    CHECK_NUMBER(f.status, 500);
    CHECK_STRING(f.message, "out of memory");
    CHECK_NUMBER(fault_set(NULL, 400, "x"), -1);
    CHECK_NUMBER(fault_errno(NULL, "x"), -1);
    char big[2000];
    memset(big, 'a', sizeof big - 1);
    big[sizeof big - 1] = 0;
    errno = EIO;
    fault_errno(&f, "%s", big);
    CHECK_NUMBER(strlen(f.message), sizeof f.message - 1);
}

static void cleanups(void) {
    int end = -1;
    {
        int fd CLEANUP(cleanup_close) = open("/dev/null", O_RDONLY);
        char *text CLEANUP(cleanup_free) = strdup("x");
        end = fd;
        CHECK(text != NULL);
        errno = EAGAIN;
    }
    CHECK_NUMBER(errno, EAGAIN);
    CHECK_NUMBER(fcntl(end, F_GETFD), -1);
    int fd = 5;
    CHECK_NUMBER(steal_fd(&fd), 5);
    CHECK_NUMBER(fd, -1);
    char c, *p = &c;
    CHECK(steal_pointer(&p) == &c);
    CHECK(p == NULL);
}

/* A second close must do nothing: another file may have the number by then. */
static void closed_twice(void) {
    int fd = open("/dev/null", O_RDONLY), number = fd;
    cleanup_close(&fd);
    CHECK_NUMBER(fd, -1);
    int other = open("/dev/null", O_RDONLY);
    CHECK_NUMBER(other, number);
    cleanup_close(&fd);
    CHECK(fcntl(other, F_GETFD) >= 0);
    cleanup_close(&other);
}

static void buffers(void) {
    struct buffer b;
    buffer_init(&b, 10);
    CHECK(buffer_add(&b, "abc", 3));
    CHECK(buffer_addf(&b, "%d", 1234567));
    CHECK_STRING(b.data, "abc1234567");
    CHECK_NUMBER(b.length, 10);
    CHECK(!buffer_addf(&b, "%s", "x"));
    CHECK(b.failed && b.length == 0 && b.data == NULL);
    CHECK(!buffer_add(&b, "a", 1));
    CHECK(b.failed);
    CHECK(buffer_take(&b) == NULL);
    buffer_free(&b);
    buffer_init(&b, 1 << 20);
    for (int i = 0; i < 100000; i++)
        buffer_add(&b, "x\0", 2);
    CHECK_NUMBER(b.length, 200000);
    char *taken = buffer_take(&b);
    CHECK(taken && taken[199998] == 'x' && taken[200000] == 0);
    free(taken);
    CHECK(b.data == NULL && b.length == 0);
    taken = buffer_take(&b);
    CHECK_STRING(taken, "");
    free(taken);
    buffer_init(&b, SIZE_MAX);
    CHECK(!buffer_add(&b, "", SIZE_MAX));
    buffer_init(&b, 0);
    CHECK(buffer_addf(&b, "%s", ""));
    buffer_free(&b);
}

static void whole_io(void) {
    int ends[2];
    char in[8] = "";
    CHECK(pipe(ends) == 0);
    CHECK_NUMBER(write_all(ends[1], "hello", 5), 0);
    close(ends[1]);
    CHECK_NUMBER(read_all(ends[0], in, sizeof in), 5);
    CHECK_STRING(in, "hello");
    close(ends[0]);
    CHECK_NUMBER(write_all(-1, "x", 1), -1);
    CHECK_NUMBER(errno, EBADF);
    CHECK_NUMBER(read_all(-1, in, 1), -1);
}

static void times(void) {
    char text[32];
    format_time(1780948800123456, text);
    CHECK_STRING(text, "2026-06-08T20:00:00.123456Z");
    format_time(0, text);
    CHECK_STRING(text, "1970-01-01T00:00:00.000000Z");
    format_time(-1, text);
    CHECK_STRING(text, "1969-12-31T23:59:59.999999Z");
    format_time(INT64_MAX, text);
    CHECK_NUMBER(strlen(text), 27);
    format_time(INT64_MIN, text);
    CHECK_NUMBER(strlen(text), 27);
    double a = monotonic_seconds();
    CHECK(a > 0 && monotonic_seconds() >= a);
    CHECK(wall_microseconds() > 1600000000000000);
}

static void uuids(void) {
    char a[UUID_SIZE], b[UUID_SIZE], c[UUID_SIZE];
    uuid_random(a);
    uuid_random(b);
    CHECK(strcmp(a, b) != 0);
    CHECK_NUMBER(strlen(a), 36);
    CHECK(a[14] == '4' && strchr("89ab", a[19]));
    uuid_ordered(a);
    usleep(1500);
    uuid_ordered(b);
    CHECK(a[14] == '7' && strcmp(a, b) < 0);
    CHECK(uuid_parse(a, c));
    CHECK_STRING(c, a);
    CHECK(uuid_parse("ABCDEF01-2345-6789-abcd-ef0123456789", c));
    CHECK_STRING(c, "abcdef01-2345-6789-abcd-ef0123456789");
    CHECK(!uuid_parse("ABCDEF01-2345-6789-abcd-ef012345678", NULL));
    CHECK(!uuid_parse("ABCDEF01-2345-6789-abcd-ef01234567890", NULL));
    CHECK(!uuid_parse("ABCDEF01x2345-6789-abcd-ef0123456789", NULL));
    CHECK(!uuid_parse("gBCDEF01-2345-6789-abcd-ef0123456789", NULL));
    CHECK(!uuid_parse("", NULL));
    CHECK(!uuid_parse(NULL, NULL));
}

static void logs(void) {
    int ends[2], old = dup(2);
    char in[2048] = "";
    CHECK(pipe(ends) == 0 && dup2(ends[1], 2) == 2);
    log_line("name %s", "a\nb\033[2Jc");
    char big[3000];
    memset(big, 'z', sizeof big - 1);
    big[sizeof big - 1] = 0;
    log_line("%s", big);
    dup2(old, 2);
    close(old);
    close(ends[1]);
    ssize_t n = read_all(ends[0], in, sizeof in - 1);
    close(ends[0]);
    char *newline = strchr(in, '\n');
    CHECK(n > 0 && newline);
    CHECK(strstr(in, "Z name a?b?[2Jc\n") != NULL);
    CHECK(newline && strchr(newline + 1, '\n') == in + n - 1);
}

static atomic_bool renaming;

static void *rename_always(void *arg) {
    int dir = *(int *)arg;
    while (renaming)
        if (renameat(dir, "x", dir, "y") < 0 || renameat(dir, "y", dir, "x"))
            break;
    return NULL;
}

/* Renames elsewhere in the tree must not make a lookup fail. */
static void scoped(void) {
    struct temp_dir d = temp_dir_make();
    struct open_how how = {.flags = O_PATH, .resolve = RESOLVE_IN_ROOT};
    const char *path = "a/../a/../a/../a/../a/../l/../a";
    pthread_t thread;
    int refused = 0, failed = 0;
    CHECK(shell("cd %s && mkdir a x && ln -s ../a l", d.path));
    renaming = true;
    CHECK(pthread_create(&thread, NULL, rename_always, &d.fd) == 0);
    for (int i = 0; i < 5000; i++) {
        int raw = (int)syscall(SYS_openat2, d.fd, path, &how, sizeof how);
        int fd = open_scoped(d.fd, path, O_PATH, RESOLVE_IN_ROOT);
        refused += raw < 0;
        failed += fd < 0;
        close(raw);
        close(fd);
    }
    renaming = false;
    pthread_join(thread, NULL);
    printf("# %d of 5000 lookups were refused once\n", refused);
    CHECK_NUMBER(failed, 0);
    CHECK(open_scoped(d.fd, "../x", O_PATH, RESOLVE_BENEATH) < 0);
    CHECK_NUMBER(errno, EXDEV);
    temp_dir_remove(&d);
}

int main(void) {
    RUN(faults, "faults carry status and message");
    RUN(cleanups, "cleanup helpers close, free and keep errno");
    RUN(closed_twice, "F1: what was closed by hand is not closed again");
    RUN(buffers, "buffers grow, stop at their maximum, stay failed");
    RUN(whole_io, "whole reads and writes");
    RUN(times, "times are spelled in UTC with microseconds");
    RUN(uuids, "uuids are made and parsed");
    RUN(scoped, "scoped lookups bear with renames elsewhere");
    RUN(logs, "log lines are one line each");
    return CHECK_DONE();
}
