/* test_archive.c: an archive of an image holds what the image does. */
#define _GNU_SOURCE
#include "base/clock.h"
#include "base/fault.h"
#include "base/pax.h"
#include "check.h"
#include "temp_dir.h"
#include "unpack/unpack.h"
#include "view/archive.h"
#include "view/view.h"
#include <errno.h>
#include <linux/capability.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/xattr.h>

static const struct id_range plain = {0, 65536};

/* Make one layer by a command, and open a view of it. */
struct env {
    struct temp_dir d;
    struct view *v;
};

static struct env make_env(const char *command) {
    struct env e = {.d = temp_dir_make()};
    struct fault f = {0};
    int64_t layer = 1;
    CHECK(shell("mkdir -p %s/l/0 %s/l/1 && cd %s/l/1 && %s", e.d.path, e.d.path,
                e.d.path, command));
    e.v = view_open(e.d.fd, &layer, 1, plain, &f);
    CHECK(e.v != NULL);
    return e;
}

static void end_env(struct env *e) {
    view_close(e->v);
    temp_dir_remove(&e->d);
}

/* Write the archive to DIR/tar. Return the fault's status, or 0. */
static int archive(struct env *e, const char *path, struct fault *f) {
    *f = (struct fault){0};
    int fd = openat(e->d.fd, "tar", O_CREAT | O_TRUNC | O_WRONLY, 0600);
    int result = inspect_archive(e->v, path, fd, NULL, f);
    close(fd);
    return result < 0 ? f->status : 0;
}

/* Return the names in DIR/tar, as the tar command shows them. */
static bool names_are(const struct env *e, const char *names) {
    return shell("cd %s && test \"$(tar tf tar --quoting-style=escape | tr "
                 "'\\n' ' ')\" = '%s'",
                 e->d.path, names);
}

static void names(void) {
    struct env e = make_env(
        "mkdir -p etc/d usr/bin && echo a > etc/hosts && echo b > usr/bin/x && "
        "ln -s usr/bin bin && ln -s / all && ln -s etc/hosts h && mkfifo p && "
        "touch etc/d/\"$(printf 'a\\377\\nb')\" && mknod null c 1 3 && "
        "mknod white c 0 0 && ln -s ../../../x etc/up");
    struct fault f;
    CHECK_NUMBER(archive(&e, "/etc", &f), 0);
    CHECK(names_are(&e, "etc/ etc/d/ etc/d/a\\377\\nb etc/hosts etc/up "));
    CHECK_NUMBER(archive(&e, "/etc/hosts", &f), 0);
    CHECK(names_are(&e, "etc/hosts "));
    CHECK_NUMBER(archive(&e, "/h", &f), 0);
    CHECK(names_are(&e, "h "));
    CHECK_NUMBER(archive(&e, "/bin/", &f), 0);
    CHECK(names_are(&e, "bin/ bin/x "));
    CHECK_NUMBER(archive(&e, "/etc/d/../../usr/./bin", &f), 0);
    CHECK(names_are(&e, "usr/bin/ usr/bin/x "));
    CHECK_NUMBER(archive(&e, "/bin/..", &f), 0);
    CHECK(names_are(&e, "bin/ bin/x "));
    CHECK_NUMBER(archive(&e, "/all/usr", &f), 0);
    CHECK(names_are(&e, "all/usr/ all/usr/bin/ all/usr/bin/x "));
    CHECK_NUMBER(archive(&e, "/", &f), 0);
    CHECK(names_are(&e, "all bin etc/ etc/d/ etc/d/a\\377\\nb etc/hosts etc/up "
                        "h p usr/ usr/bin/ usr/bin/x "));
    CHECK_NUMBER(archive(&e, "/all", &f), 0);
    CHECK(shell("! tar tf %s/tar | grep -v ^all/", e.d.path));
    CHECK_NUMBER(archive(&e, "/p", &f), 422);
    CHECK_NUMBER(archive(&e, "/null", &f), 422);
    CHECK_NUMBER(archive(&e, "/none", &f), 404);
    CHECK_NUMBER(archive(&e, "etc", &f), 400);
    CHECK(shell("test ! -s %s/tar", e.d.path));
    end_env(&e);
}

/* Out and in again: nothing is lost. */
static void round_trip(void) {
    struct env e = make_env(
        "mkdir -p d/e && echo hello > d/f && ln d/f d/g && chown 7:8 d/f && "
        "chmod 4751 d/f && ln -s f d/l && mkfifo -m 600 d/p && chmod 1777 d/e "
        "&& truncate -s 3G d/sparse && printf x | dd of=d/sparse bs=1 "
        "seek=2G conv=notrunc status=none && touch -d @1000000000.25 d/f d/l "
        "d/e d && n=$(printf 'n%.0s' $(seq 200)) && mkdir d/$n && "
        "echo > d/$n/$n && head -c 3000000 /dev/urandom > d/random && "
        "python3 -c \"import os;os.setxattr('d/f','user.a',b'1\\0002');"
        "os.setxattr('d/e','user.overlay.opaque',b'y');"
        "os.setxattr('d/f','user.overlay.overlay.x',b'own');"
        "os.setxattr('d/e','trusted.t',b'1')\"");
    struct fault f = {0};
    struct unpack_options o = {.ids = plain};
    struct unpack_result r;
    char value[64], path[200];
    struct vfs_ns_cap_data cap = {0};
    cap.magic_etc = VFS_CAP_REVISION_3 | VFS_CAP_FLAGS_EFFECTIVE;
    cap.data[0].permitted = 1 << 13;
    cap.rootid = 100000;
    snprintf(path, sizeof path, "%s/l/1/d/random", e.d.path);
    CHECK(setxattr(path, "security.capability", &cap, sizeof cap, 0) == 0);
    CHECK_NUMBER(archive(&e, "/d", &f), 0);
    CHECK_STRING(f.message, "");
    CHECK(mkdirat(e.d.fd, "out", 0755) == 0);
    int root = openat(e.d.fd, "out", O_RDONLY | O_DIRECTORY);
    int tar = openat(e.d.fd, "tar", O_RDONLY);
    CHECK_NUMBER(unpack_tar(root, tar, &o, &r, &f), 0);
    close(tar);
    close(root);
    CHECK(shell("cd %s && for t in l/1/d out/d; do (cd $t && find . -printf "
                "'%%p %%y %%m %%U %%G %%l %%T@ %%n %%b\\n' | sed "
                "'s/^\\(. d.*\\|.\\/e.*\\) [0-9]*$/\\1/; s/^\\(.*random.*\\|"
                ".*sparse.*\\) [0-9]*$/\\1/' | sort); done | sort | uniq -c | "
                "awk '$1 != 2 {print \"# \" $0; bad = 1} END {exit bad}'",
                e.d.path));
    CHECK(shell("cd %s && cmp l/1/d/random out/d/random && "
                "test \"$(cat out/d/f)\" = hello && "
                "test $(stat -c %%s out/d/sparse) = 3221225472 && "
                "test $(stat -c %%b out/d/sparse) -lt 100 && "
                "test \"$(tail -c 1073741824 out/d/sparse | head -c 1)\" = x "
                "&& test $(stat -c %%s tar) -lt 6000000",
                e.d.path));
    snprintf(path, sizeof path, "%s/out/d/f", e.d.path);
    CHECK_NUMBER(getxattr(path, "user.a", value, sizeof value), 3);
    snprintf(path, sizeof path, "%s/out/d/e", e.d.path);
    CHECK_NUMBER(listxattr(path, value, sizeof value), 0);
    /* The capability holds for the user who unpacks it, so it names no root. */
    CHECK(shell("cd %s && python3 -c \"import tarfile;t=tarfile.open('tar');"
                "p=t.getmember('d/random').pax_headers;"
                "assert len(p['SCHILY.xattr.security.capability'])==20;"
                "q=t.getmember('d/f').pax_headers;"
                "assert q['SCHILY.xattr.user.overlay.x']=='own'\"",
                e.d.path));
    snprintf(path, sizeof path, "%s/out/d/random", e.d.path);
    CHECK_NUMBER(getxattr(path, "security.capability", value, sizeof value),
                 sizeof cap - 4); /* for our own root the short form */
    end_env(&e);
}

static void user_names(void) {
    struct env e = make_env(
        "mkdir etc && printf 'me:x:42:42::/:\\n' > etc/passwd && echo > f && "
        "chown 42:42 f");
    struct fault f;
    CHECK_NUMBER(archive(&e, "/f", &f), 0);
    CHECK(shell("tar tvf %s/tar | grep -q ' me/42 '", e.d.path));
    end_env(&e);
}

static void deep(void) {
    struct env e = make_env("true");
    struct fault f;
    int fd = openat(e.d.fd, "l/1", O_RDONLY | O_DIRECTORY);
    for (int n = 0; n < 1000; n++) {
        CHECK(mkdirat(fd, "d", 0755) == 0);
        int next = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        close(fd);
        fd = next;
    }
    close(fd);
    CHECK_NUMBER(archive(&e, "/", &f), 0);
    CHECK(shell("test $(tar tf %s/tar | wc -l) = 1000", e.d.path));
    end_env(&e);
}

static void endless_hole(void) {
    struct env e = make_env("truncate -s 9T f && mkdir d && "
                            "printf x | dd of=d/g bs=1 seek=7T status=none");
    struct fault f;
    atomic_bool cancelled = true;
    struct deadline p = {.cancelled = &cancelled};
    CHECK_NUMBER(archive(&e, "/", &f), 0);
    CHECK(shell("cd %s && test $(stat -c %%s tar) -lt 20000 && mkdir x && "
                "tar xf tar -C x && test $(stat -c %%s x/f) = 9895604649984 && "
                "test $(stat -c %%s x/d/g) = 7696581394433 && "
                "test \"$(tail -c 1 x/d/g)\" = x && "
                "python3 -c \"import tarfile;t=tarfile.open('tar');"
                "assert t.getmember('f').size==9895604649984\"",
                e.d.path));
    CHECK_NUMBER(inspect_archive(e.v, "/", 1, &p, &f), -1);
    CHECK_NUMBER(f.status, 408);
    p = (struct deadline){.at = monotonic_seconds() - 1};
    CHECK_NUMBER(inspect_archive(e.v, "/", 1, &p, &f), -1);
    CHECK_NUMBER(f.status, 408);
    end_env(&e);
}

static bool has_text(int fd, const char *text) {
    char data[65536];
    ssize_t n = pread(fd, data, sizeof data, 0);
    return n > 0 && memmem(data, (size_t)n, text, strlen(text));
}

/* The numbers are too large for a file on a disk. */
static void large_numbers(void) {
    struct pax *p = malloc(sizeof *p);
    struct stat st = {.st_mode = S_IFREG | 0644, .st_size = 10LL << 30};
    st.st_mtim = (struct timespec){-1, 750000000};
    int fd = memfd_create("tar", 0);
    pax_begin(p, fd);
    CHECK(pax_member(p, &(struct pax_member){.name = "f", .st = &st}) == 0);
    st.st_mtim = (struct timespec){1LL << 40, 0};
    st.st_uid = 07777777 + 1, st.st_gid = 2000000000;
    CHECK(pax_member(p, &(struct pax_member){.name = "g", .st = &st}) == 0);
    st.st_mtim = (struct timespec){INT64_MIN, 0};
    CHECK(pax_member(p, &(struct pax_member){.name = "h", .st = &st}) == 0);
    CHECK(pax_end(p) == 0);
    CHECK(has_text(fd, "40 mtime=-9223372036854775808.000000000\n"));
    CHECK(has_text(fd, "20 size=10737418240\n"));
    CHECK(has_text(fd, "15 uid=2097152\n"));
    CHECK(has_text(fd, "18 gid=2000000000\n"));
    CHECK(has_text(fd, "22 mtime=-0.250000000\n"));
    CHECK(has_text(fd, "33 mtime=1099511627776.000000000\n"));
    close(fd);
    free(p);
}

static void reader_leaves(void) {
    struct env e = make_env("head -c 5000000 /dev/urandom > f");
    struct fault f;
    int ends[2];
    signal(SIGPIPE, SIG_IGN);
    CHECK(pipe(ends) == 0);
    close(ends[0]);
    CHECK_NUMBER(inspect_archive(e.v, "/f", ends[1], NULL, &f), -1);
    CHECK_NUMBER(f.status, 500);
    CHECK(strstr(f.message, "Broken pipe") != NULL);
    close(ends[1]);
    int full = open("/dev/full", O_WRONLY);
    CHECK_NUMBER(inspect_archive(e.v, "/f", full, NULL, &f), -1);
    close(full);
    end_env(&e);
}

static void *in_thread(void *arg) {
    struct env *e = arg;
    struct fault f;
    int64_t layer = 1;
    bool ok = true;
    for (int i = 0; i < 5 && ok; i++) {
        struct view *v = view_open(e->d.fd, &layer, 1, plain, &f);
        int fd = memfd_create("tar", 0);
        ok = v && inspect_archive(v, "/", fd, NULL, &f) == 0 &&
             lseek(fd, 0, SEEK_END) > 1000000;
        close(fd);
        view_close(v);
    }
    return ok ? e : NULL;
}

static void threads(void) {
    struct env e = make_env("for i in $(seq 50); do head -c 20000 /dev/zero > "
                            "f$i; done; ln f1 g1");
    pthread_t t[4];
    void *result;
    for (int i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, in_thread, &e);
    for (int i = 0; i < 4; i++) {
        pthread_join(t[i], &result);
        CHECK(result == &e);
    }
    end_env(&e);
}

int main(void) {
    RUN(names, "names are relative and as asked for");
    RUN(round_trip, "out and in again nothing is lost");
    RUN(user_names, "owners have the image's names");
    RUN(deep, "a thousand directories deep");
    RUN(endless_hole, "holes cost nothing, a deadline ends it");
    RUN(large_numbers, "numbers beyond the header's fields");
    RUN(reader_leaves, "a reader that leaves ends it");
    RUN(threads, "threads archive at once");
    return CHECK_DONE();
}
