/* test_blob.c: uploads are hashed and published once, and leave nothing else.
 */
#define _GNU_SOURCE
#include "base/fault.h"
#include "base/fd.h"
#include "check.h"
#include "layer/blob.h"
#include "temp_dir.h"
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>

#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define HELLO "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"

struct env {
    struct temp_dir d;
    struct store *s;
};

static void open_env(struct env *e) {
    struct fault f = {0};
    e->s = store_open(e->d.fd, e->d.path, &f);
    CHECK(e->s != NULL);
}

static void end_env(struct env *e) {
    store_close(e->s);
    temp_dir_remove(&e->d);
}

static int upload(struct env *e, const void *data, size_t length,
                  struct stored_file *out, struct fault *f) {
    struct upload *u = upload_begin(e->d.fd, 1 << 30, f);
    if (!u)
        return -1;
    if (upload_write(u, data, length, f) < 0) {
        upload_abort(u);
        return -1;
    }
    return upload_finish(u, e->s, out, f);
}

static bool holds(struct env *e, const char *sha256, const char *text) {
    char data[64] = "";
    int fd = blob_open(e->d.fd, sha256, NULL);
    ssize_t n = fd < 0 ? -1 : read_all(fd, data, sizeof data - 1);
    close(fd);
    return n == (ssize_t)strlen(text) && strcmp(data, text) == 0;
}

/* Whether there are `count` files besides the store's own. */
static bool has_files(struct env *e, int count) {
    return shell("test $(find %s -type f ! -name 'contree.db*' ! -name lock | "
                 "wc -l) = %d",
                 e->d.path, count);
}

static void contents(void) {
    struct env e = {.d = temp_dir_make()};
    struct fault f;
    struct stored_file a, b;
    struct stat st;
    open_env(&e);
    struct upload *u = upload_begin(e.d.fd, 5, &f);
    CHECK_NUMBER(upload_write(u, "hel", 3, &f), 0);
    CHECK_NUMBER(upload_write(u, "", 0, &f), 0);
    CHECK_NUMBER(upload_write(u, "lo", 2, &f), 0);
    CHECK_NUMBER(upload_finish(u, e.s, &a, &f), 0);
    CHECK_STRING(a.sha256, HELLO);
    CHECK_NUMBER(a.size, 5);
    CHECK(holds(&e, HELLO, "hello"));
    CHECK(fstatat(e.d.fd, "b/2c/" HELLO, &st, 0) == 0);
    CHECK(st.st_mode == 0100400 && st.st_nlink == 1);
    CHECK_NUMBER(upload(&e, "hello", 5, &b, &f), 0);
    CHECK_STRING(b.uuid, a.uuid);
    CHECK(has_files(&e, 1));
    CHECK_NUMBER(upload(&e, "", 0, &b, &f), 0);
    CHECK_STRING(b.sha256, EMPTY);
    CHECK(holds(&e, EMPTY, ""));
    /* Upper case is the same hash. Anything but a hash is refused. */
    char upper[] = "2CF24DBA5FB0A30E26E83B2AC5B9E29E"
                   "1B161E5C1FA7425E73043362938B9824";
    CHECK(holds(&e, upper, "hello"));
    CHECK_NUMBER(blob_open(e.d.fd, "../../../etc/passwd", &f), -1);
    CHECK_NUMBER(f.status, 404);
    upper[0] = '.';
    CHECK_NUMBER(blob_open(e.d.fd, upper, &f), -1);
    CHECK_NUMBER(f.status, 404);
    upper[0] = '3';
    CHECK_NUMBER(blob_open(e.d.fd, upper, &f), -1);
    CHECK_NUMBER(f.status, 404);
    CHECK_NUMBER(blob_open(e.d.fd, "", &f), -1);
    end_env(&e);
}

/* Another connection makes the database refuse rows of files, or take them. */
static void refuse_rows(struct env *e, bool refuse) {
    char path[512];
    sqlite3 *db = NULL;
    snprintf(path, sizeof path, "%s/contree.db", e->d.path);
    CHECK_NUMBER(sqlite3_open(path, &db), SQLITE_OK);
    CHECK_NUMBER(sqlite3_exec(db,
                              refuse ? "CREATE TRIGGER no BEFORE INSERT ON file"
                                       " BEGIN SELECT RAISE(ABORT, 'full'); END"
                                     : "DROP TRIGGER no",
                              NULL, NULL, NULL),
                 SQLITE_OK);
    sqlite3_close(db);
}

/* A content whose row cannot be written would fill a disk that is full. */
static void without_row(void) {
    struct env e = {.d = temp_dir_make()};
    struct fault f;
    struct stored_file a;
    open_env(&e);
    refuse_rows(&e, true);
    CHECK_NUMBER(upload(&e, "hello", 5, &a, &f), -1);
    CHECK(has_files(&e, 0));
    refuse_rows(&e, false);
    CHECK_NUMBER(upload(&e, "hello", 5, &a, &f), 0);
    CHECK(holds(&e, HELLO, "hello"));
    /* What has a row stays. */
    refuse_rows(&e, true);
    CHECK_NUMBER(upload(&e, "hello", 5, &a, &f), -1);
    CHECK(holds(&e, HELLO, "hello"));
    end_env(&e);
}

static void large(void) {
    struct env e = {.d = temp_dir_make()};
    struct fault f;
    struct stored_file x;
    char *data = malloc(20 << 20), command[300];
    open_env(&e);
    for (int i = 0; i < 20 << 20; i++)
        data[i] = (char)(i * 7 + i / 4096);
    CHECK_NUMBER(upload(&e, data, 20 << 20, &x, &f), 0);
    free(data);
    snprintf(command, sizeof command, "%s/b/%.2s", e.d.path, x.sha256);
    CHECK(shell("cd %s && echo '%s  %s' | sha256sum -c --quiet", command,
                x.sha256, x.sha256));
    end_env(&e);
}

/* A file that is copied by the kernel: its hash is that of the copy. */
static void copies(void) {
    struct env e = {.d = temp_dir_make()};
    struct fault f;
    struct stored_file a, b;
    char *data = malloc(9 << 20);
    atomic_bool cancelled = false;
    open_env(&e);
    for (int i = 0; i < 9 << 20; i++)
        data[i] = (char)(i * 11 + i / 4096);
    int fd = openat(e.d.fd, ".", O_TMPFILE | O_RDWR, 0600);
    CHECK_NUMBER(write_all(fd, data, 9 << 20), 0);
    lseek(fd, 0, SEEK_SET);
    struct upload *u = upload_begin(e.d.fd, 1 << 30, &f);
    CHECK_NUMBER(upload_copy(u, fd, &cancelled, &f), 0);
    CHECK_NUMBER(upload_finish(u, e.s, &a, &f), 0);
    CHECK_NUMBER(upload(&e, data, 9 << 20, &b, &f), 0);
    CHECK_STRING(a.uuid, b.uuid);
    CHECK_NUMBER(a.size, 9 << 20);
    /* Too large, cancelled: nothing is left. */
    CHECK(shell("rm -r %s/b", e.d.path));
    for (int i = 0; i < 2; i++) {
        lseek(fd, 0, SEEK_SET);
        u = upload_begin(e.d.fd, i ? 1 << 30 : 5 << 20, &f);
        cancelled = i;
        CHECK_NUMBER(upload_copy(u, fd, &cancelled, &f), -1);
        CHECK_NUMBER(f.status, i ? 409 : 413);
        CHECK_NUMBER(upload_finish(u, e.s, &a, &f), -1);
    }
    CHECK(has_files(&e, 0));
    close(fd);
    free(data);
    end_env(&e);
}

static void refusals(void) {
    struct env e = {.d = temp_dir_make()};
    struct fault f;
    struct stored_file x;
    open_env(&e);
    struct upload *u = upload_begin(e.d.fd, 5, &f);
    CHECK_NUMBER(upload_write(u, "hello", 5, &f), 0);
    CHECK_NUMBER(upload_write(u, "!", 1, &f), -1);
    CHECK_NUMBER(f.status, 413);
    CHECK_NUMBER(upload_write(u, "", 0, &f), -1);
    CHECK_NUMBER(upload_finish(u, e.s, &x, &f), -1);
    u = upload_begin(e.d.fd, 0, &f);
    CHECK_NUMBER(upload_write(u, "", 0, &f), 0);
    CHECK_NUMBER(upload_write(u, "x", 1, &f), -1);
    CHECK_NUMBER(f.status, 413);
    upload_abort(u);
    upload_abort(NULL);
    u = upload_begin(e.d.fd, 100, &f);
    CHECK_NUMBER(upload_write(u, "hello", 5, &f), 0);
    upload_abort(u);
    CHECK(has_files(&e, 0));
    CHECK_NUMBER(store_file_by_sha256(e.s, HELLO, &x, &f), -1);
    end_env(&e);
}

/* After a crash there may be a content without a row, complete or cut short:
 * an upload replaces it. */
static void leftovers(void) {
    struct env e = {.d = temp_dir_make()};
    struct fault f;
    struct stored_file x;
    open_env(&e);
    CHECK(shell("mkdir -p %s/b/2c && printf hello > %s/b/2c/" HELLO, e.d.path,
                e.d.path));
    CHECK_NUMBER(upload(&e, "hello", 5, &x, &f), 0);
    CHECK(holds(&e, HELLO, "hello"));
    CHECK(shell("mkdir -p %s/b/e3 && echo cut > %s/b/e3/" EMPTY, e.d.path,
                e.d.path));
    CHECK_NUMBER(upload(&e, "", 0, &x, &f), 0);
    CHECK(holds(&e, EMPTY, ""));
    /* A row without content: an upload brings the content back. */
    CHECK(shell("rm %s/b/2c/*", e.d.path));
    CHECK_NUMBER(upload(&e, "hello", 5, &x, &f), 0);
    CHECK(holds(&e, HELLO, "hello"));
    end_env(&e);
}

static void full_disk(void) {
    struct env e = {.d = temp_dir_small(1024)};
    struct fault f = {0};
    struct stored_file x;
    char *data = calloc(1, 2 << 20);
    open_env(&e);
    CHECK_NUMBER(upload(&e, data, 2 << 20, &x, &f), -1);
    CHECK_NUMBER(f.status, 507);
    CHECK(has_files(&e, 0));
    /* There is room for the content but not for the row. */
    struct upload *u = upload_begin(e.d.fd, 100, &f);
    CHECK_NUMBER(upload_write(u, "hello", 5, &f), 0);
    CHECK(shell("! head -c 2M /dev/zero > %s/lock 2>/dev/null", e.d.path));
    CHECK_NUMBER(upload_finish(u, e.s, &x, &f), -1);
    CHECK_NUMBER(f.status, 507);
    CHECK(shell(": > %s/lock", e.d.path));
    CHECK_NUMBER(store_file_by_sha256(e.s, HELLO, &x, &f), -1);
    CHECK_NUMBER(upload(&e, "hello", 5, &x, &f), 0);
    CHECK(holds(&e, HELLO, "hello"));
    free(data);
    end_env(&e);
}

static void killed(void) {
    struct env e = {.d = temp_dir_make()};
    int ends[2];
    char byte;
    CHECK(pipe(ends) == 0);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        struct fault f;
        struct upload *u = upload_begin(e.d.fd, 1 << 20, &f);
        if (upload_write(u, "hello", 5, &f) < 0 || write_all(ends[1], "x", 1))
            _exit(1);
        pause();
    }
    CHECK_NUMBER(read_all(ends[0], &byte, 1), 1);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    CHECK(has_files(&e, 0));
    close(ends[0]);
    close(ends[1]);
    temp_dir_remove(&e.d);
}

static void *upload_same(void *arg) {
    struct env *e = arg;
    struct fault f;
    struct stored_file x;
    char text[32];
    for (int i = 0; i < 40; i++) {
        snprintf(text, sizeof text, "text %d", i);
        if (upload(e, text, strlen(text), &x, &f) < 0) {
            printf("# %s\n", f.message);
            return NULL;
        }
    }
    return e;
}

static void threads(void) {
    struct env e = {.d = temp_dir_make()};
    pthread_t t[4];
    void *result;
    open_env(&e);
    for (int i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, upload_same, &e);
    for (int i = 0; i < 4; i++) {
        pthread_join(t[i], &result);
        CHECK(result == &e);
    }
    CHECK(has_files(&e, 40));
    end_env(&e);
}

int main(void) {
    RUN(contents, "contents are found under their hash, once");
    RUN(large, "a large content is whole");
    RUN(copies, "a file is copied and hashed, or nothing is left");
    RUN(refusals, "what is too large or given up leaves nothing");
    RUN(leftovers, "leftovers of a crash are repaired");
    RUN(full_disk, "a full disk is 507 and leaves nothing");
    RUN(without_row, "a content without a row leaves nothing");
    RUN(killed, "a killed engine leaves nothing");
    RUN(threads, "threads upload the same contents");
    return CHECK_DONE();
}
