/* test_apply.c: a layer is applied to the tree that the layers below show.
 * spec/wire/images/layers_spec.lua does the same with random layers. */
#define _GNU_SOURCE
#include "base/descriptor.h"
#include "base/scope.h"
#include "importing.h"
#include "tar_maker.h"
#include "unpack/child.h"
#include "view/view.h"
#include <sys/xattr.h>

struct env {
    struct temp_dir d;    /* the engine's */
    struct temp_dir from; /* the layout is from/oci */
    struct importer m;
    struct import_options o;
    struct view *view; /* of the last image */
    char tops[3][200]; /* the directories of its layers, the lowest first */
};

static struct env make_env(void) {
    struct env e = {.d = temp_dir_make(), .from = temp_dir_make()};
    CHECK(open_importer(&e.m, &e.d, usual_ids));
    return e;
}

static void end_env(struct env *e) {
    view_close(e->view);
    close_importer(&e->m);
    temp_dir_remove(&e->d);
    temp_dir_remove(&e->from);
}

/* Add the next layer of the image that is being made. */
static void add_layer(struct env *e, struct tar *t, int number) {
    char name[200];
    int fd = tar_end(t);
    snprintf(name, sizeof name, "%s/%d.tar", e->from.path, number);
    CHECK(shell("cp /proc/%d/fd/%d %s", getpid(), fd, name));
    close(fd);
    buffer_free(&t->b);
    *t = tar_begin();
}

/* Import the image of `count` layers. Return the status of the fault, or 0. */
static int import(struct env *e, int count, struct fault *f) {
    struct image i;
    int64_t *ids = NULL;
    size_t chain = 0;
    *f = (struct fault){0};
    make_layout(&e->from, count == 2 ? "layer 1.tar; layer 2.tar; finish"
                                     : "layer 1.tar; layer 2.tar; layer 3.tar; "
                                       "finish");
    char path[200];
    snprintf(path, sizeof path, "%s/oci", e->from.path);
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result = import_layout(&e->m, dir, NULL, &e->o, &i, f);
    close(dir);
    if (result < 0)
        return f->status;
    CHECK_NUMBER(store_layer_chain(e->m.store, i.layer, &ids, &chain, f), 0);
    for (size_t n = 0; n < chain && n < 3; n++)
        snprintf(e->tops[n], sizeof e->tops[n], "%s/l/%lld", e->d.path,
                 (long long)ids[chain - 1 - n]);
    view_close(e->view);
    e->view = view_open(e->m.dir_fd, ids, chain, e->m.ids, f);
    free(ids);
    image_clear(&i);
    return 0;
}

static struct item look(struct env *e, const char *path) {
    struct fault f;
    struct item item;
    if (inspect_stat(e->view, path, false, &item, &f) < 0)
        item = (struct item){.st.st_mode = 0};
    return item;
}

static bool holds(struct env *e, const char *path, const char *text) {
    struct fault f;
    char data[100] = "";
    int fd CLEANUP(cleanup_close) = inspect_open(e->view, path, NULL, &f);
    ssize_t n = fd < 0 ? -1 : read_all(fd, data, sizeof data - 1);
    return n >= 0 && strcmp(data, text) == 0;
}

static bool same_file(struct env *e, const char *a, const char *b) {
    struct item x = look(e, a);
    int64_t layer = x.layer;
    ino_t inode = x.st.st_ino;
    struct item y = look(e, b);
    return x.st.st_mode && layer == y.layer && inode == y.st.st_ino;
}

#define DIRECTORY(n) ((struct member){.name = n, .type = '5', .mode = 0755})
#define FILE_OF(n, text) ((struct member){.name = n, .data = text})
#define SYMLINK(n, to) ((struct member){.name = n, .type = '2', .link = to})
#define HARDLINK(n, to) ((struct member){.name = n, .type = '1', .link = to})

/* In the base bin is a link to usr/bin, as in Debian. */
static void add_base(struct tar *t) {
    tar_add(t, DIRECTORY("usr"));
    tar_add(t, (struct member){
                   .name = "usr/bin", .type = '5', .mode = 02750, .uid = 7});
    tar_add(t, SYMLINK("bin", "usr/bin"));
    tar_add(t, FILE_OF("usr/bin/sh", "shell"));
    tar_add(t, FILE_OF("data", "one"));
}

static void links(void) {
    struct env e = make_env();
    struct fault f;
    struct tar t = tar_begin();
    add_base(&t);
    tar_add(&t, SYMLINK("opt", "/srv/./x/../opt"));
    tar_add(&t, SYMLINK("a", "b"));
    tar_add(&t, SYMLINK("b", "a"));
    add_layer(&e, &t, 1);
    tar_add(&t, FILE_OF("bin/tool", "tool"));
    tar_add(&t, FILE_OF("opt/deep/f", "made"));
    tar_add(&t, FILE_OF("bin/.wh.sh", ""));
    add_layer(&e, &t, 2);
    tar_add(&t, SYMLINK("usr/bin/up", "../../../../.."));
    tar_add(&t, FILE_OF("bin/up/at-root", "root"));
    add_layer(&e, &t, 3);
    CHECK_NUMBER(import(&e, 3, &f), 0);
    CHECK_STRING(f.message, "");
    CHECK(S_ISLNK(look(&e, "/bin").st.st_mode));
    CHECK(holds(&e, "/usr/bin/tool", "tool"));
    CHECK_NUMBER(look(&e, "/usr/bin").st.st_mode, 042750);
    CHECK_NUMBER(look(&e, "/usr/bin").st.st_uid, 7);
    CHECK(holds(&e, "/srv/opt/deep/f", "made"));
    CHECK(!look(&e, "/bin/sh").st.st_mode && !look(&e, "/srv/x").st.st_mode);
    CHECK(holds(&e, "/at-root", "root"));
    /* Links of lower layers that form a circle. */
    tar_add(&t, FILE_OF("a/f", ""));
    add_layer(&e, &t, 2);
    CHECK_NUMBER(import(&e, 2, &f), 422);
    CHECK(strstr(f.message, "loop of links"));
    tar_add(&t, FILE_OF("data/f", ""));
    add_layer(&e, &t, 2);
    CHECK_NUMBER(import(&e, 2, &f), 422);
    CHECK(strstr(f.message, "not a directory"));
    end_env(&e);
}

/* A directory has two names, and an entry replaces one of them. */
static void replaced_links(void) {
    struct env e = make_env();
    struct fault f;
    struct tar t = tar_begin();
    tar_add(&t, DIRECTORY("b"));
    tar_add(&t, SYMLINK("b/c", "/b"));
    add_layer(&e, &t, 1);
    tar_add(&t, SYMLINK("b/c/c", "/other"));
    tar_add(&t, FILE_OF("b/c/f", "there"));
    add_layer(&e, &t, 2);
    CHECK_NUMBER(import(&e, 2, &f), 0);
    CHECK_STRING(f.message, "");
    CHECK(holds(&e, "/other/f", "there"));
    CHECK(!look(&e, "/b/f").st.st_mode);
    end_env(&e);
}

static void outside(void) {
    struct env e = make_env();
    struct temp_dir canary = temp_dir_make();
    struct fault f;
    struct tar t = tar_begin();
    char path[200], up[300];
    CHECK(shell("echo safe > %s/f", canary.path));
    snprintf(path, sizeof path, "%s/f", canary.path);
    snprintf(up, sizeof up, "../../../../../../..%s", canary.path);
    add_base(&t);
    tar_add(&t, SYMLINK("out", canary.path));
    tar_add(&t, SYMLINK("up", up));
    add_layer(&e, &t, 1);
    tar_add(&t, FILE_OF("out/new", "in"));
    tar_add(&t, FILE_OF("up/too", "in"));
    add_layer(&e, &t, 2);
    CHECK_NUMBER(import(&e, 2, &f), 0);
    CHECK(shell("test \"$(ls %s)\" = f", canary.path));
    snprintf(up, sizeof up, "%s/new", canary.path);
    CHECK(holds(&e, up, "in"));
    /* Outside of the image there are no targets for hard links. */
    static const char *const targets[] = {"out/f", "up/f"};
    for (int i = 0; i < 3; i++) {
        tar_add(&t, HARDLINK("h", i < 2 ? targets[i] : path));
        add_layer(&e, &t, 2);
        CHECK_NUMBER(import(&e, 2, &f), 422);
        CHECK(strstr(f.message, "nor in a layer below"));
    }
    temp_dir_remove(&canary);
    end_env(&e);
}

static void hard_links(void) {
    struct env e = make_env();
    struct fault f;
    struct tar t = tar_begin();
    char value[8] = "";
    add_base(&t);
    tar_add(&t, (struct member){.name = "fifo", .type = '6', .mode = 0620});
    tar_add(&t, FILE_OF("old", "moved"));
    tar_pax(&t, "SCHILY.xattr.user.note", "kept");
    tar_add(&t, (struct member){.name = "noted", .mode = 04711, .uid = 5});
    add_layer(&e, &t, 1);
    tar_add(&t, HARDLINK("dup", "data"));
    tar_add(&t, HARDLINK("again", "dup"));
    tar_add(&t, HARDLINK("more", "data"));
    tar_add(&t, HARDLINK("link", "bin"));
    tar_add(&t, HARDLINK("pipe", "fifo"));
    tar_add(&t, HARDLINK("tool", "bin/sh"));
    tar_add(&t, (struct member){.name = "noted2",
                                .type = '1',
                                .link = "noted",
                                .mode = 04711,
                                .uid = 5});
    tar_add(&t, HARDLINK("new", "old"));
    tar_add(&t, FILE_OF(".wh.old", ""));
    add_layer(&e, &t, 2);
    CHECK_NUMBER(import(&e, 2, &f), 0);
    CHECK_STRING(f.message, "");
    CHECK(holds(&e, "/dup", "one") && same_file(&e, "/dup", "/data"));
    CHECK(same_file(&e, "/dup", "/again") && same_file(&e, "/dup", "/more"));
    CHECK_STRING(look(&e, "/link").target, "usr/bin");
    CHECK(S_ISFIFO(look(&e, "/pipe").st.st_mode));
    CHECK(same_file(&e, "/tool", "/usr/bin/sh"));
    CHECK(holds(&e, "/new", "moved") && !look(&e, "/old").st.st_mode);
    CHECK_NUMBER(look(&e, "/noted2").st.st_mode, 0104711);
    CHECK_NUMBER(look(&e, "/noted").st.st_uid, 5);
    char path[300];
    snprintf(path, sizeof path, "%s/noted2", e.tops[1]);
    CHECK_NUMBER(getxattr(path, "user.note", value, sizeof value), 4);
    /* The layer below is unchanged, and no temporary files are left. */
    CHECK(shell("test $(stat -c %%h %s/data) = 1 && cd %s && "
                "test -z \"$(find . -name '.wh.*')\"",
                e.tops[0], e.tops[1]));
    /* Copies count towards the limit as the archive's own files do. */
    tar_add(&t, HARDLINK("dup", "data"));
    tar_add(&t, HARDLINK("dup2", "usr/bin/sh"));
    add_layer(&e, &t, 2);
    e.o.max_bytes = 4100;
    CHECK_NUMBER(import(&e, 2, &f), 413);
    end_env(&e);
}

/* A whiteout of a missing file is dropped, because it would show in listings.
 */
static void whiteouts(void) {
    struct env e = make_env();
    struct fault f;
    struct tar t = tar_begin();
    add_base(&t);
    tar_add(&t, FILE_OF("d/sub/f", "x"));
    tar_add(&t, FILE_OF("d/g", "x"));
    tar_add(&t, FILE_OF("gone/f", "x"));
    tar_add(&t, FILE_OF("console", "x"));
    add_layer(&e, &t, 1);
    tar_add(&t, FILE_OF("new/.wh.nothing", ""));
    tar_add(&t, FILE_OF("data2", ""));
    tar_add(&t, FILE_OF("d/sub/.wh.f", ""));
    tar_add(&t, FILE_OF("d/.wh..wh..opq", ""));
    tar_add(&t, FILE_OF("gone/.wh.f", ""));
    tar_add(&t, FILE_OF(".wh.gone", ""));
    tar_add(&t, (struct member){.name = "console", .type = '3'});
    tar_add(&t, FILE_OF("usr", "a file"));
    tar_add(&t, DIRECTORY("usr"));
    add_layer(&e, &t, 2);
    CHECK_NUMBER(import(&e, 2, &f), 0);
    CHECK(S_ISDIR(look(&e, "/new").st.st_mode));
    CHECK(S_ISDIR(look(&e, "/d").st.st_mode));
    CHECK(!look(&e, "/d/sub").st.st_mode && !look(&e, "/d/g").st.st_mode);
    CHECK(!look(&e, "/gone").st.st_mode && !look(&e, "/console").st.st_mode);
    CHECK(!look(&e, "/usr/bin").st.st_mode);
    CHECK(shell("cd %s && test -z \"$(find new d usr -type c)\" && "
                "test -z \"$(find . -type d | xargs python3 -c '"
                "import os, sys\nfor d in sys.argv[1:]:\n"
                " if \"user.overlay.implied\" in os.listxattr(d): print(d)')\"",
                e.tops[1]));
    end_env(&e);
}

/* Old layers of Docker have private files of aufs, and hard links to them. */
static void aufs(void) {
    struct env e = make_env();
    struct fault f;
    struct tar t = tar_begin();
    add_base(&t);
    add_layer(&e, &t, 1);
    tar_add(&t, FILE_OF(".wh..wh.aufs", ""));
    tar_add(&t, (struct member){.name = ".wh..wh.orph", .type = '5'});
    tar_add(&t, (struct member){.name = ".wh..wh.plnk", .type = '5'});
    tar_add(&t, FILE_OF(".wh..wh.plnk/5.9", "pseudo"));
    tar_add(&t, HARDLINK("x", ".wh..wh.plnk/5.9"));
    tar_add(&t, HARDLINK("y", ".wh..wh.plnk/5.9"));
    add_layer(&e, &t, 2);
    CHECK_NUMBER(import(&e, 2, &f), 0);
    CHECK(holds(&e, "/x", "pseudo") && same_file(&e, "/x", "/y"));
    CHECK(shell("test \"$(ls -A %s | tr '\\n' ' ')\" = 'x y '", e.tops[1]));
    end_env(&e);
}

static void times(void) {
    static const struct {
        const char *name, *text;
        time_t seconds;
        long nanoseconds;
    } cases[] = {{"a", "-1.5", -2, 500000000},
                 {"b", "-2", -2, 0},
                 {"c", "-100000.25", -100001, 750000000},
                 {"d", "1.25", 1, 250000000},
                 {"e", "0", 0, 0}};
    struct env e = make_env();
    struct fault f;
    struct tar t = tar_begin();
    add_base(&t);
    add_layer(&e, &t, 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tar_pax(&t, "mtime", cases[i].text);
        tar_add(&t, FILE_OF(cases[i].name, ""));
    }
    tar_pax(&t, "mtime", "-9223372036854775808");
    tar_add(&t, FILE_OF("least", ""));
    tar_pax(&t, "mtime", "-9223372036854775808.5");
    tar_add(&t, FILE_OF("less", ""));
    add_layer(&e, &t, 2);
    CHECK_NUMBER(import(&e, 2, &f), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[10];
        snprintf(path, sizeof path, "/%s", cases[i].name);
        struct item item = look(&e, path);
        CHECK_NUMBER(item.st.st_mtim.tv_sec, cases[i].seconds);
        CHECK_NUMBER(item.st.st_mtim.tv_nsec, cases[i].nanoseconds);
    }
    end_env(&e);
}

int main(int argc, char *argv[]) {
    (void)argc;
    if (unpack_is_child(argv))
        return unpack_child();
    RUN(links, "B5: links of lower layers lead where they lead in the image");
    RUN(replaced_links, "B5: a link that an entry replaces leads nowhere");
    RUN(outside, "B5: links of lower layers do not lead out of the image");
    RUN(hard_links, "B5: hard links to files of lower layers");
    RUN(whiteouts, "B5: what is hidden is gone, and nothing else is there");
    RUN(aufs, "B5: what aufs left in layers is no part of the image");
    RUN(times, "B8: times before 1970");
    return CHECK_DONE();
}
