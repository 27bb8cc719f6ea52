/* test_filler.c: contents are written by a second thread as by the first. */
#define _GNU_SOURCE
#include "check.h"
#include "temp_dir.h"
#include "unpack/filler.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILES = 500, LARGE = 5 << 20 };

static const struct file_end plain = {
    .size = -1, .mode = 0640, .times = {{.tv_nsec = UTIME_OMIT}, {1234, 5}}};

static struct file_end owned(struct file_end e) {
    e.uid = getuid();
    e.gid = getgid();
    return e;
}

static int make(const struct temp_dir *d, const char *name) {
    return openat(d->fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
}

/* More files than there are descriptors, each in two pieces. */
static void many_files(void) {
    struct temp_dir d = temp_dir_make();
    struct filler *w = filler_open();
    const struct file_end end = owned(plain);
    char name[32], text[32];
    struct stat st;
    for (int i = 0; w && i < FILES; i++) {
        snprintf(name, sizeof name, "f%d", i);
        int fd = make(&d, name);
        filler_add(w, fd, name, "head ", 5, 0);
        filler_add(w, fd, name, name, strlen(name), 5);
        filler_end(w, fd, name, &end);
    }
    CHECK(w && filler_wait(w) == 0);
    int left = open("/dev/null", O_RDONLY | O_CLOEXEC);
    CHECK(left < 20); /* all the others were closed */
    close(left);
    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof name, "f%d", i);
        int fd = openat(d.fd, name, O_RDONLY | O_CLOEXEC);
        ssize_t n = read(fd, text, sizeof text - 1);
        text[n < 0 ? 0 : n] = 0;
        CHECK(strncmp(text, "head ", 5) == 0);
        CHECK_STRING(text + 5, name);
        CHECK(fstat(fd, &st) == 0 && (st.st_mode & 07777) == 0640 &&
              st.st_mtim.tv_sec == 1234 && st.st_mtim.tv_nsec == 5);
        close(fd);
    }
    filler_close(w);
    temp_dir_remove(&d);
}

/* A file larger than both batches, with a hole in it and one at its end. */
static void large_file(void) {
    struct temp_dir d = temp_dir_make();
    struct filler *w = filler_open();
    struct file_end end = owned(plain);
    char *data = malloc(LARGE), *back = calloc(1, 2 * LARGE + 10);
    int fd = make(&d, "large"), again = dup(fd);
    for (int i = 0; i < LARGE; i++)
        data[i] = (char)(i * 31 + i / 4099);
    end.size = 2 * LARGE + 10;
    filler_add(w, fd, "large", data, LARGE, 7);
    filler_add(w, fd, "large", data, 100, 2 * LARGE - 100);
    filler_end(w, fd, "large", &end);
    CHECK(filler_wait(w) == 0);
    CHECK_NUMBER(pread(again, back, 2 * LARGE + 10, 0), 2 * LARGE + 10);
    CHECK(memcmp(back + 7, data, LARGE) == 0);
    CHECK(memcmp(back + 2 * LARGE - 100, data, 100) == 0);
    CHECK(back[6] == 0 && back[7 + LARGE] == 0 && back[2 * LARGE] == 0);
    close(again);
    filler_close(w);
    free(data);
    free(back);
    temp_dir_remove(&d);
}

static void failure(void) {
    struct temp_dir d = temp_dir_make();
    struct filler *w = filler_open();
    const struct file_end end = owned(plain);
    struct stat st;
    int good = make(&d, "good"), bad = open("/dev/full", O_WRONLY | O_CLOEXEC),
        late = make(&d, "late"), late_again = dup(late), dropped;
    filler_add(w, good, "good", "x", 1, 0);
    filler_end(w, good, "good", &end);
    filler_add(w, bad, "bad", "x", 1, 0);
    filler_end(w, bad, "bad", &end);
    filler_add(w, late, "late", "x", 1, 0);
    filler_end(w, late, "late", &end);
    CHECK(filler_wait(w) < 0);
    CHECK(filler_has_failed(w));
    CHECK_NUMBER(filler_failure(w)->error, ENOSPC);
    CHECK_STRING(filler_failure(w)->name, "bad");
    CHECK(fstatat(d.fd, "good", &st, 0) == 0 && st.st_size == 1);
    CHECK(fstat(late_again, &st) == 0 && st.st_size == 0);
    /* A file that its reader gave up is only closed. */
    dropped = make(&d, "dropped");
    filler_end(w, dropped, "dropped", NULL);
    CHECK(filler_wait(w) < 0);
    CHECK(fcntl(dropped, F_GETFD) < 0 && errno == EBADF);
    close(late_again);
    filler_close(w);
    temp_dir_remove(&d);
}

int main(void) {
    struct filler *w = filler_open();
    if (!w) { /* one processor */
        puts("1..0 # SKIP this machine writes files with one thread");
        return 0;
    }
    filler_close(w);
    RUN(many_files, "many files in few batches");
    RUN(large_file, "a file larger than all batches, with holes");
    RUN(failure, "a failure ends it, and is told with its name");
    return CHECK_DONE();
}
