/* test_export.c: an export has all that was imported. */
#define _GNU_SOURCE
#include "importing.h"
#include "transport/export.h"
#include "unpack/child.h"
#include "view/view.h"
#include <errno.h>
#include <signal.h>

struct env {
    struct temp_dir d;   /* the engine's data directory */
    struct temp_dir out; /* sources and results */
    struct importer m;
};

static struct env make_env(void) {
    struct env e = {.d = temp_dir_make(), .out = temp_dir_make()};
    CHECK(open_importer(&e.m, &e.d, usual_ids));
    return e;
}

static void end_env(struct env *e) {
    close_importer(&e->m);
    temp_dir_remove(&e->d);
    temp_dir_remove(&e->out);
}

/* Import the layout that shell commands make in out/. */
static struct image make_image(struct env *e, const char *tag,
                               const char *commands) {
    struct import_options o = {.tag = tag};
    struct image i = {.layer = 0};
    struct fault f = {0};
    make_layout(&e->out, commands);
    int dir = openat(e->out.fd, "oci", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK_NUMBER(import_layout(&e->m, dir, NULL, &o, &i, &f), 0);
    CHECK_STRING(f.message, "");
    close(dir);
    return i;
}

#define TREE                                                                   \
    "mkdir -p t/d/sub t/tmp t/dev t/etc t/proc t/root t/run t/sys u/d; "       \
    "chmod 1777 t/tmp; chmod 555 t/proc t/sys; chmod 700 t/root; "             \
    "echo s > t/d/setuid; chmod 4755 t/d/setuid; "                             \
    "echo h > t/d/hard; ln t/d/hard t/d/link; ln -s ../nowhere t/d/soft; "     \
    "mkfifo -m 640 t/d/fifo; chown 1000:1001 t/d/fifo; "                       \
    "truncate -s 64M t/d/sparse; echo x >> t/d/sparse; "                       \
    "echo o > t/d/owned; chown 65535:12 t/d/owned; "                           \
    "n=$(printf %0200d 7); mkdir -p t/$n/$n; echo l > t/$n/$n/deep; "          \
    "printf %s \"$n\" > \"t/d/$(printf 'b\\303\\244d \\377\\n')\"; "           \
    "touch -d @1000000000.25 t/d/owned; chmod 711 t; "                         \
    "python3 -c 'import os, struct\n"                                          \
    "os.setxattr(\"t/d/hard\", \"user.note\", b\"\\0kept\\xff\")\n"            \
    "os.setxattr(\"t/d/owned\", \"security.capability\", "                     \
    "struct.pack(\"<5I\", 0x2000001, 1 << 13, 0, 0, 0))'\n"                    \
    "echo gone > t/gone; : > u/.wh.gone; echo new > u/d/new; chmod 711 u; "    \
    "touch -d @5 t/d t u u/d; mtime=; tree t > t.tar; tree u > u.tar; "

/* List all that find can tell about a tree, sorted. */
#define LIST                                                                   \
    "find . -printf '%%P %%y %%m %%U:%%G %%n %%l ' -a '(' -type f -printf "    \
    "'%%s %%T@' -o -true ')' -printf '\\n' | LC_ALL=C sort"

static void tars(void) {
    struct env e = make_env();
    struct fault f = {0};
    struct image i =
        make_image(&e, "a:1", TREE "layer t.tar; layer u.tar; finish");
    int fd = openat(e.out.fd, "out.tar", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    CHECK_NUMBER(export_tar(&e.m, &i, fd, &f), 0);
    CHECK_STRING(f.message, "");
    close(fd);
    /* GNU tar unpacks the archive to the tree that the layers were made of. */
    CHECK(shell("cd %s && mkdir x && tar --xattrs --xattrs-include='*' "
                "--numeric-owner -C x -xpf out.tar && rm t/gone && "
                "cp -a u/d/new t/d && touch -d @5 t/d t && (cd t && " LIST
                ") > want && (cd x && " LIST ") > got && diff want got",
                e.out.path));
    CHECK(shell("cd %s/x/d && test $(stat -c %%b sparse) -lt 1000 && test hard "
                "-ef link && python3 -c 'import os\n"
                "assert os.getxattr(\"link\", \"user.note\") == "
                "b\"\\0kept\\xff\"\n"
                "assert len(os.getxattr(\"owned\", \"security.capability\")) "
                "== 20'",
                e.out.path));
    image_clear(&i);
    /* An empty image has only what every sandbox has. */
    i = make_image(&e, NULL, "finish");
    fd = openat(e.out.fd, "no.tar", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    CHECK_NUMBER(export_tar(&e.m, &i, fd, &f), 0);
    close(fd);
    CHECK(shell("cd %s && tar -tf no.tar | grep -qx tmp/", e.out.path));
    image_clear(&i);
    end_env(&e);
}

static void layouts(void) {
    struct env e = make_env();
    struct fault f = {0};
    char path[200];
    struct import_options o = {.tag = "b:1"};
    struct image again, i = make_image(&e, "a/x:1",
                                       TREE "cwd=/d; layer t.tar; layer u.tar; "
                                            "finish A=1 'B=two words'");
    snprintf(path, sizeof path, "%s/made", e.out.path);
    CHECK_NUMBER(export_oci(&e.m, &i, path, &f), 0);
    CHECK_STRING(f.message, "");
    CHECK(shell("cd %s && test \"$(ls blobs/sha256 | wc -l)\" = 3 && "
                "for x in blobs/sha256/*; do test $(sha256sum < $x | cut "
                "-c1-64) = ${x##*/}; done",
                path));
    /* The imported image is the same: tree, variables, directory. */
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK_NUMBER(import_layout(&e.m, dir, "a/x:1", &o, &again, &f), 0);
    CHECK_STRING(f.message, "");
    close(dir);
    CHECK_STRING(again.env, "{\"A\":\"1\",\"B\":\"two words\"}");
    CHECK_STRING(again.cwd, "/d");
    for (int n = 0; n < 2; n++) {
        int fd = openat(e.out.fd, n ? "2.tar" : "1.tar",
                        O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        CHECK_NUMBER(export_tar(&e.m, n ? &again : &i, fd, &f), 0);
        close(fd);
    }
    CHECK(shell("cd %s && cmp 1.tar 2.tar", e.out.path));
    CHECK(shell("! skopeo --version >/dev/null 2>&1 || skopeo "
                "--insecure-policy copy -q oci:%s:a/x:1 dir:%s/dir",
                path, e.out.path));
    image_clear(&again);
    image_clear(&i);
    end_env(&e);
}

static void failures(void) {
    struct env e = make_env();
    struct fault f = {0};
    char path[200];
    struct temp_dir small = temp_dir_small(300);
    struct image i =
        make_image(&e, NULL,
                   "mkdir r; head -c 1M /dev/urandom > r/big; tree r > r.tar; "
                   "layer r.tar; finish");
    snprintf(path, sizeof path, "%s/r", e.out.path);
    CHECK_NUMBER(export_oci(&e.m, &i, path, &f), -1);
    CHECK_NUMBER(f.status, 409);
    CHECK(shell("test \"$(ls %s)\" = big", path));
    snprintf(path, sizeof path, "%s/no/where", e.out.path);
    CHECK_NUMBER(export_oci(&e.m, &i, path, &f), -1);
    /* A full disk keeps existing files, and leaves no new ones. */
    CHECK_NUMBER(export_oci(&e.m, &i, small.path, &f), -1);
    CHECK_NUMBER(f.status, 507);
    snprintf(path, sizeof path, "%s/new", small.path);
    CHECK_NUMBER(export_oci(&e.m, &i, path, &f), -1);
    CHECK(shell("test -z \"$(ls -A %s)\"", small.path));
    /* Nobody reads the pipe. */
    int ends[2];
    CHECK_NUMBER(pipe2(ends, O_CLOEXEC), 0);
    close(ends[0]);
    CHECK_NUMBER(export_tar(&e.m, &i, ends[1], &f), -1);
    close(ends[1]);
    image_clear(&i);
    temp_dir_remove(&small);
    end_env(&e);
}

static void references(void) {
    struct env e = make_env();
    struct fault f = {0};
    struct image found, i = make_image(&e, "x:1", "finish");
    char text[64];
    snprintf(text, sizeof text, "%s", i.uuid);
    const char *const good[] = {text, "x:1", "tag:x:1"};
    const char *const bad[] = {"x", "tag:y", "", "01a20a02",
                               "00000000-0000-0000-0000-000000000000"};
    for (size_t n = 0; n < sizeof good / sizeof *good; n++) {
        CHECK_NUMBER(export_resolve(e.m.store, good[n], &found, &f), 0);
        CHECK_STRING(found.uuid, i.uuid);
        image_clear(&found);
    }
    for (size_t n = 0; n < sizeof bad / sizeof *bad; n++) {
        CHECK_NUMBER(export_resolve(e.m.store, bad[n], &found, &f), -1);
        CHECK_NUMBER(f.status, 404);
    }
    image_clear(&i);
    end_env(&e);
}

int main(int argc, char *argv[]) {
    (void)argc;
    if (unpack_is_child(argv))
        return unpack_child();
    signal(SIGPIPE, SIG_IGN);
    RUN(tars, "a tar has all that the image has");
    RUN(layouts, "a layout can be imported again");
    RUN(failures, "failures leave nothing");
    RUN(references, "which image is meant");
    return CHECK_DONE();
}
