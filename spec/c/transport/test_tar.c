/* test_tar.c: archives are imported completely, and never write outside of the
 * image. */
#define _GNU_SOURCE
#include "base/clock.h"
#include "child.h"
#include "layer/workspace.h"
#include "tar_env.h"
#include "tar_maker.h"
#include "unpack/child.h"
#include "unpack/unpack.h"
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <linux/capability.h>
#include <sys/wait.h>
#include <sys/xattr.h>

static bool is_owner(const char *dir, const char *name, uid_t uid,
                     mode_t mode) {
    char path[300];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return lstat(path, &st) == 0 && st.st_uid == uid && st.st_gid == uid &&
           st.st_mode == mode;
}

static void busybox(void) {
    struct env e = make_env();
    struct fault f = {0};
    struct image first, i;
    CHECK_NUMBER(import_busybox(&e.m, &f), 0);
    CHECK_STRING(f.message, "");
    CHECK_NUMBER(store_image_by_tag(e.m.store, "busybox:latest", &first, &f),
                 0);
    CHECK(first.size > 500000 && first.layer > 0);
    snprintf(e.layer, sizeof e.layer, "%s/l/%lld", e.d.path,
             (long long)first.layer);
    CHECK(is_owner(e.layer, "bin/busybox", BASE, 0100755));
    CHECK(is_owner(e.layer, "tmp", BASE, 041777));
    CHECK(is_owner(e.layer, "bin/sh", BASE, 0120777));
    CHECK(shell("test \"$(chroot %s /bin/sh -c 'echo hi | tr a-z A-Z; id -un')"
                "\" = \"$(printf 'HI\\nroot')\"",
                e.layer));
    /* If an image has the tag already, nothing is imported. */
    CHECK_NUMBER(import_busybox(&e.m, &f), 0);
    CHECK_NUMBER(store_image_by_tag(e.m.store, "busybox:latest", &i, &f), 0);
    CHECK_STRING(i.uuid, first.uuid);
    CHECK_NUMBER(store_tag_remove(e.m.store, i.uuid, NULL, &f), 0);
    CHECK_NUMBER(import_busybox(&e.m, &f), 0);
    CHECK_NUMBER(store_image_by_tag(e.m.store, "busybox:latest", &i, &f), 0);
    CHECK(strcmp(i.uuid, first.uuid) != 0);
    end_env(&e);
}

/* GNU tar packs a tree with an entry of each type. */
static void make_sample(const struct env *e) {
    CHECK(shell(
        "mkdir -p %s/in/d/e && cd %s/in && chmod 750 . && echo hello > d/f && "
        "chown 7:7 d/f && chmod 4755 d/f && ln d/f d/hard && "
        "ln -s ../../../../../etc d/out && mkfifo -m 640 d/fifo && "
        "mknod d/null c 1 3 && truncate -s 9M d/sparse && "
        "printf x | dd of=d/sparse bs=1 seek=5M conv=notrunc status=none && "
        "l=$(printf 'n%%.0s' $(seq 200)) && mkdir -p $l/$l && echo > $l/$l/$l "
        "&& echo > \"$(printf 'caf\\303\\251')\" && chmod 500 d/e && "
        "touch -d @1000000000 d/f && touch -h -d @1100000000 d/out && "
        "touch -d @1200000000.5 d/e d .",
        e->d.path, e->d.path));
}

static void check_sample(const struct env *e) {
    CHECK(is_owner(e->layer, ".", BASE, 040750));
    CHECK(is_owner(e->layer, "d/f", BASE + 7, 0104755));
    CHECK(is_owner(e->layer, "d/hard", BASE + 7, 0104755));
    CHECK(is_owner(e->layer, "d/fifo", BASE, 010640));
    CHECK(is_owner(e->layer, "d/e", BASE, 040500));
    CHECK(shell("cd %s && test d/f -ef d/hard && test \"$(cat d/f)\" = hello "
                "&& test \"$(readlink d/out)\" = ../../../../../etc && "
                "test ! -e d/null -a ! -L d/null && test $(stat -c %%s "
                "d/sparse) = 9437184 && test $(stat -c %%b d/sparse) -lt 1000 "
                "&& cmp d/sparse ../../in/d/sparse && "
                "test \"$(stat -c %%Y d/f d/out d/e d . | tr '\\n' ' ')\" = "
                "'1000000000 1100000000 1200000000 1200000000 1200000000 ' && "
                "l=$(printf 'n%%.0s' $(seq 200)) && test -f $l/$l/$l && "
                "test -f \"$(printf 'caf\\303\\251')\"",
                e->layer));
}

static void formats(void) {
    static const char *const commands[] = {
        "tar --format=gnu --sparse -c .",
        "tar --format=pax --sparse -c . | cat",
        "tar --format=gnu -c . | gzip -1",
        "tar --format=pax -c . | bzip2 -1",
        "tar --format=gnu -S -c . | xz -0",
        "tar --format=pax -S -c . | zstd -q",
    };
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        struct env e = make_env();
        struct fault f;
        char command[300];
        make_sample(&e);
        snprintf(command, sizeof command, "cd %s/in && %s", e.d.path,
                 commands[i]);
        FILE *p = popen(command, "r");
        CHECK_NUMBER(import(&e, dup(fileno(p)), &f), 0);
        CHECK_STRING(f.message, "");
        pclose(p);
        /* Without -S tar writes the hole as data. */
        if (!strstr(commands[i], "parse") && !strstr(commands[i], "-S"))
            CHECK(shell("fallocate -d %s/d/sparse", e.layer));
        check_sample(&e);
        end_env(&e);
    }
}

static void attributes(void) {
    struct env e = make_env();
    struct fault f;
    struct archive *a = archive_write_new();
    struct archive_entry *x = archive_entry_new();
    struct vfs_ns_cap_data cap = {0};
    char path[300], value[64], names[256] = "";
    int fd = memfd_create("tar", 0);
    cap.magic_etc = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE;
    cap.data[0].permitted = 1 << 10;
    archive_write_set_format_pax(a);
    archive_write_open_fd(a, fd);
    archive_entry_set_pathname(x, "f");
    archive_entry_set_filetype(x, AE_IFREG);
    archive_entry_set_perm(x, 0755);
    archive_entry_set_size(x, 0);
    archive_entry_xattr_add_entry(x, "user.kept", "v\0w", 3);
    archive_entry_xattr_add_entry(x, "user.overlay.opaque", "y", 1);
    archive_entry_xattr_add_entry(x, "user.overlay.redirect", "/../..", 6);
    archive_entry_xattr_add_entry(x, "trusted.overlay.redirect", "/", 1);
    archive_entry_xattr_add_entry(x, "security.selinux", "x", 1);
    archive_entry_xattr_add_entry(x, "security.capability", &cap,
                                  XATTR_CAPS_SZ_2);
    CHECK_NUMBER(archive_write_header(a, x), ARCHIVE_OK);
    archive_write_close(a);
    archive_write_free(a);
    archive_entry_free(x);
    lseek(fd, 0, SEEK_SET);
    CHECK_NUMBER(import(&e, fd, &f), 0);
    snprintf(path, sizeof path, "%s/f", e.layer);
    CHECK_NUMBER(getxattr(path, "user.kept", value, sizeof value), 3);
    CHECK(memcmp(value, "v\0w", 3) == 0);
    ssize_t length = listxattr(path, names, sizeof names);
    CHECK_NUMBER(length, sizeof "user.kept" + sizeof "security.capability");
    /* The capability is for root of the sandbox, not of the machine. */
    CHECK_NUMBER(getxattr(path, "security.capability", value, sizeof value),
                 XATTR_CAPS_SZ_3);
    memcpy(&cap, value, XATTR_CAPS_SZ_3);
    CHECK_NUMBER(cap.rootid, BASE);
    CHECK_NUMBER(cap.data[0].permitted, 1 << 10);
    end_env(&e);
}

/* Absolute names and links end inside the image. */
static void confined(void) {
    struct env e = make_env();
    struct temp_dir canary = temp_dir_make();
    struct fault f;
    struct tar t = tar_begin();
    char name[90];
    CHECK(shell("echo safe > %s/f", canary.path));
    snprintf(name, sizeof name, "%s/f", canary.path);
    tar_add(&t, (struct member){.name = name, .data = "absolute"});
    tar_add(&t,
            (struct member){.name = "abs", .type = '2', .link = canary.path});
    tar_add(&t, (struct member){.name = "abs/f", .data = "through"});
    tar_add(&t, (struct member){
                    .name = "up", .type = '2', .link = "../../../../../.."});
    tar_add(&t, (struct member){.name = "up/new", .data = "up"});
    tar_add(&t, (struct member){.name = "c1", .type = '2', .link = "up"});
    tar_add(&t, (struct member){.name = "c2", .type = '2', .link = "c1/tmp"});
    tar_add(&t, (struct member){.name = "tmp", .type = '5', .mode = 0777});
    tar_add(&t, (struct member){.name = "c2/chain", .data = "chain"});
    tar_add(&t, (struct member){
                    .name = "pass", .type = '2', .link = "/etc/passwd"});
    tar_add(&t, (struct member){.name = "pass", .data = "mine"});
    tar_add(&t, (struct member){.name = "dangling",
                                .type = '2',
                                .link = "../made/../made/on/../the"});
    tar_add(&t, (struct member){.name = "dangling/way/f", .data = "made"});
    tar_add(&t, (struct member){.name = "back\\..\\slash", .data = "x"});
    tar_add(&t, (struct member){.name = "././/a//b/", .data = ""});
    tar_add(&t, (struct member){.name = "Case", .data = "1"});
    tar_add(&t, (struct member){.name = "case", .data = "2"});
    CHECK_NUMBER(import(&e, tar_end(&t), &f), 0);
    CHECK_STRING(f.message, "");
    CHECK(shell("cd %s && test \"$(cat ./%s/f)\" = through && "
                "test \"$(cat new)\" = up && test \"$(cat tmp/chain)\" = chain "
                "&& test \"$(cat pass)\" = mine && test ! -L pass && "
                "test \"$(cat made/the/way/f)\" = made && "
                "test -f 'back\\..\\slash' && test -e a/b && "
                "test \"$(cat Case case | tr -d '\\n')\" = 12",
                e.layer, canary.path));
    CHECK(shell("test \"$(cat %s/f)\" = safe && test ! -e /new -a "
                "! -e /tmp/chain && grep -q root /etc/passwd",
                canary.path));
    buffer_free(&t.b);
    temp_dir_remove(&canary);
    end_env(&e);
}

/* Check that an archive is refused with `status`. */
static void refused(int status, const char *why, struct member a,
                    struct member b, struct member c) {
    struct env e = make_env();
    struct fault f;
    struct tar t = tar_begin();
    struct member all[] = {a, b, c};
    for (int i = 0; i < 3; i++)
        if (all[i].name)
            tar_add(&t, all[i]);
    CHECK_NUMBER(import(&e, tar_end(&t), &f), status);
    if (!strstr(f.message, why)) {
        CHECK_STRING(f.message, why);
    }
    CHECK(left_nothing(&e));
    buffer_free(&t.b);
    end_env(&e);
}

static void refusals(void) {
    const struct member none = {0}, d = {.name = "d", .type = '5'};
    const struct member file = {.name = "f", .data = "x"};
    char deep[200];
    refused(422, "leads out", (struct member){.name = "../x"}, none, none);
    refused(422, "leads out", (struct member){.name = "a/../../b"}, none, none);
    refused(422, "leads out", (struct member){.name = "./../"}, none, none);
    refused(422, "leads out", d, (struct member){.name = "d/.."}, none);
    refused(422, "leads out",
            (struct member){.name = "h", .type = '1', .link = "../etc/shadow"},
            none, none);
    refused(422, "not in the archive",
            (struct member){.name = "h", .type = '1', .link = "/etc/shadow"},
            none, none);
    refused(422, "not in the archive",
            (struct member){.name = "s", .type = '2', .link = "/etc"},
            (struct member){.name = "h", .type = '1', .link = "s/shadow"},
            none);
    refused(422, "not in the archive", d,
            (struct member){.name = "h", .type = '1', .link = "d"}, none);
    refused(422, "not in the archive",
            (struct member){.name = "h", .type = '1', .link = "."}, none, none);
    refused(422, "must be a directory",
            (struct member){.name = ".", .type = '2', .link = "/etc"},
            (struct member){.name = "passwd", .data = "x"}, none);
    refused(422, "must be a directory", (struct member){.name = "."}, none,
            none);
    refused(422, "must be a directory", file,
            (struct member){.name = "./", .type = '1', .link = "f"}, none);
    refused(422, "not a directory", file, (struct member){.name = "f/g"}, none);
    refused(422, "loop of links",
            (struct member){.name = "s", .type = '2', .link = "s"},
            (struct member){.name = "s/x"}, none);
    refused(422, "usable target",
            (struct member){.name = "s", .type = '2', .link = ""}, none, none);
    refused(422, "ids 0 to 65535", (struct member){.name = "f", .uid = 70000},
            none, none);
    refused(422, "bad archive",
            (struct member){.name = "f", .data = "x", .size = 100000}, none,
            none);
    refused(422, "holds nothing", none, none, none);
    memset(deep, 'n', sizeof deep);
    deep[99] = 0;
    refused(422, "bad archive",
            (struct member){.name = "pax", .type = 'L', .size = 1LL << 32},
            none, none);
}

static int import_text(struct env *e, const char *text, size_t length,
                       struct fault *f) {
    struct tar t = tar_begin();
    buffer_add(&t.b, text, length);
    int status = import(e, tar_open(&t, length), f);
    buffer_free(&t.b);
    return status;
}

static void no_archives(void) {
    struct env e = make_env();
    struct fault f;
    char noise[5000];
    memset(noise, 'x', sizeof noise);
    CHECK_NUMBER(import_text(&e, "", 0, &f), 422);
    CHECK_NUMBER(import_text(&e, "hello", 5, &f), 422);
    CHECK_NUMBER(import_text(&e, noise, sizeof noise, &f), 422);
    CHECK_NUMBER(import_text(&e, "\x1f\x8b\x08", 3, &f), 422);
    CHECK_NUMBER(import_text(&e, "\x28\xb5\x2f\xfd", 4, &f), 422);
    CHECK_NUMBER(import_text(&e, "PK\3\4", 4, &f), 422);
    /* libarchive would start a program of the machine for this filter. */
    CHECK_NUMBER(import_text(&e, "LRZI\0\6", 6, &f), 422);
    e.o.tag = "Bad:";
    CHECK_NUMBER(import_text(&e, "", 0, &f), 400);
    CHECK_NUMBER(import(&e, open("/", O_RDONLY), &f), 400);
    e.o.tag = NULL;
    CHECK_NUMBER(import(&e, open("/", O_RDONLY), &f), 422);
    CHECK(left_nothing(&e));
    end_env(&e);
}

static void type_changes(void) {
    struct env e = make_env();
    struct fault f;
    struct tar t = tar_begin();
    tar_add(&t, (struct member){.name = "d/e/f", .data = "x"});
    tar_add(&t, (struct member){.name = "d", .type = '2', .link = "/tmp"});
    tar_add(&t, (struct member){.name = "s", .type = '2', .link = "d2"});
    tar_add(&t, (struct member){.name = "s", .type = '5', .mode = 0700});
    tar_add(&t, (struct member){.name = "s/in", .data = "x"});
    tar_add(&t, (struct member){.name = "f", .data = "first"});
    tar_add(&t, (struct member){.name = "g", .type = '1', .link = "f"});
    tar_add(&t, (struct member){.name = "f", .data = "second"});
    tar_add(&t, (struct member){.name = "g", .type = '1', .link = "g"});
    tar_add(&t, (struct member){.name = "l", .type = '2', .link = "f"});
    tar_add(&t, (struct member){.name = "hl", .type = '1', .link = "l"});
    tar_add(&t, (struct member){.name = "keep/a", .data = "x"});
    tar_add(&t, (struct member){.name = "keep", .type = '5', .mode = 0711});
    tar_add(&t, (struct member){.name = "b", .type = '4'});
    tar_add(&t, (struct member){.name = "p", .type = '6', .mode = 0600});
    CHECK_NUMBER(import(&e, tar_end(&t), &f), 0);
    CHECK_STRING(f.message, "");
    CHECK(shell("cd %s && test \"$(readlink d)\" = /tmp && test -f s/in -a "
                "! -L s && test ! -e d2 && test \"$(cat g)\" = first && "
                "test \"$(cat f)\" = second && test -L hl && test -f keep/a && "
                "test $(stat -c %%a keep) = 711 && test ! -e b -a -p p",
                e.layer));
    buffer_free(&t.b);
    end_env(&e);
}

static void odd_names(void) {
    struct env e = make_env();
    struct fault f;
    struct tar t = tar_begin();
    char *huge = malloc(3 << 20);
    tar_add(&t, (struct member){.name = "raw\xff\xfe\nx", .data = "1"});
    tar_pax(&t, "path", "caf\xc3\xa9");
    tar_add(&t, (struct member){.name = "x", .data = "2"});
    CHECK_NUMBER(import(&e, tar_end(&t), &f), 0);
    CHECK(shell("cd %s && test -f \"$(printf 'raw\\377\\376\\nx')\" && "
                "test -f \"$(printf 'caf\\303\\251')\" && test ! -e x",
                e.layer));
    buffer_free(&t.b);
    /* Names of three megabytes, in both formats. */
    memset(huge, 'n', 3 << 20);
    huge[(3 << 20) - 1] = 0;
    t = tar_begin();
    tar_pax(&t, "path", huge);
    tar_add(&t, (struct member){.name = "x", .data = "2"});
    CHECK_NUMBER(import(&e, tar_end(&t), &f), 422);
    buffer_free(&t.b);
    t = tar_begin();
    tar_raw(&t, &(struct member){.name = "././@LongLink", .type = 'L'}, huge,
            3 << 20);
    tar_add(&t, (struct member){.name = "x", .data = "2"});
    CHECK_NUMBER(import(&e, tar_end(&t), &f), 422);
    buffer_free(&t.b);
    /* A path of the greatest length, and a longer one. */
    for (int i = 0; i < 4095; i++)
        huge[i] = i % 2 ? '/' : 'd';
    huge[4093] = 0;
    t = tar_begin();
    tar_pax(&t, "path", huge);
    tar_add(&t, (struct member){.name = "x", .data = "2"});
    CHECK_NUMBER(import(&e, tar_end(&t), &f), 0);
    buffer_free(&t.b);
    memcpy(huge + 4093, "/d/d", 5);
    t = tar_begin();
    tar_pax(&t, "path", huge);
    tar_add(&t, (struct member){.name = "x", .data = "2"});
    CHECK_NUMBER(import(&e, tar_end(&t), &f), 422);
    CHECK(strstr(f.message, "too long a name") != NULL);
    buffer_free(&t.b);
    free(huge);
    end_env(&e);
}

static void sparse_lies(void) {
    static const struct {
        const char *map, *size;
        int status;
    } maps[] = {
        {"", "9223372036854775807", 413},
        {"", "20000000000", 413},
        {"0,1,9223372036854775806,1", "9223372036854775807", 413},
        {"100,1", "50", 0},
        {"-5,10", "50", 0},
        {"0,1,0,1,0,1", "1", 0},
        {"18446744073709551615,1", "50", 0},
    };
    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++) {
        struct env e = make_env();
        struct fault f;
        struct tar t = tar_begin();
        tar_pax(&t, "GNU.sparse.map", maps[i].map);
        tar_pax(&t, "GNU.sparse.size", maps[i].size);
        tar_add(&t, (struct member){.name = "x", .data = "22"});
        int status = import(&e, tar_end(&t), &f);
        if (maps[i].status) {
            CHECK_NUMBER(status, maps[i].status);
        } else if (status != 422) {
            /* However the map is read, no data lies beyond the size. */
            CHECK(shell("test $(stat -c %%s %s/x) -le 50", e.layer));
        }
        buffer_free(&t.b);
        end_env(&e);
    }
}

/* Compress an archive with one file of zeros by a filter of libarchive. */
static int zeros(int64_t size, int (*filter)(struct archive *)) {
    struct archive *a = archive_write_new();
    struct archive_entry *x = archive_entry_new();
    static const char block[1 << 20];
    int fd = memfd_create("tar", 0);
    archive_write_set_format_pax(a);
    filter(a);
    archive_write_open_fd(a, fd);
    archive_entry_set_pathname(x, "zeros");
    archive_entry_set_filetype(x, AE_IFREG);
    archive_entry_set_perm(x, 0600);
    archive_entry_set_size(x, size);
    archive_write_header(a, x);
    for (int64_t done = 0; done < size; done += (int64_t)sizeof block)
        archive_write_data(a, block, sizeof block);
    archive_write_close(a);
    archive_write_free(a);
    archive_entry_free(x);
    lseek(fd, 0, SEEK_SET);
    return fd;
}

static void bombs(void) {
    struct env e = make_env();
    struct fault f;
    struct tar t = tar_begin();
    char name[32];
    CHECK_NUMBER(
        import(&e, zeros(320 << 20, archive_write_add_filter_zstd), &f), 413);
    CHECK(strstr(f.message, "bomb") != NULL);
    e.o.max_bytes = 1 << 20;
    CHECK_NUMBER(import(&e, zeros(8 << 20, archive_write_add_filter_gzip), &f),
                 413);
    CHECK_NUMBER(import(&e, zeros(1 << 20, archive_write_add_filter_gzip), &f),
                 0);
    struct workspace w;
    CHECK_NUMBER(workspace_take(e.m.layers, &w, &f), 0);
    end_env(&e);
    e = make_env();
    e.o = (struct import_options){.max_entries = 50};
    for (int i = 0; i < 51; i++) {
        snprintf(name, sizeof name, "f%d", i);
        tar_add(&t, (struct member){.name = name});
    }
    CHECK_NUMBER(import(&e, tar_end(&t), &f), 413);
    buffer_free(&t.b);
    /* Directories without an entry count, too. */
    t = tar_begin();
    tar_add(&t, (struct member){
                    .name = "a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s/t/u/v/w/x/"
                            "y/z/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/"});
    tar_add(&t, (struct member){.name = "2/3/4/5/6/7/8/9/"});
    CHECK_NUMBER(import(&e, tar_end(&t), &f), 413);
    CHECK(left_nothing(&e));
    buffer_free(&t.b);
    end_env(&e);
}

static void slow_peers(void) {
    struct env e = make_env();
    struct fault f;
    struct tar t = tar_begin();
    atomic_bool cancelled = false;
    int ends[2];
    tar_add(&t, (struct member){.name = "f", .data = "x"});
    CHECK(pipe(ends) == 0);
    CHECK_NUMBER(write_all(ends[1], t.b.data, 700), 0);
    e.o.deadline.at = monotonic_seconds() + 0.3;
    CHECK_NUMBER(import(&e, ends[0], &f), 408);
    close(ends[1]);
    e.o.deadline.at = 0;
    e.o.deadline.cancelled = &cancelled;
    CHECK(pipe(ends) == 0);
    cancelled = true;
    CHECK_NUMBER(import(&e, ends[0], &f), 409);
    close(ends[1]);
    CHECK(left_nothing(&e));
    buffer_free(&t.b);
    end_env(&e);
}

/* An archive is cut anywhere, or has any byte changed. It is refused or
 * imported, and nothing outside is touched. */
static void damaged(void) {
    struct env e = make_env();
    struct fault f;
    struct tar t = tar_begin();
    e.o.max_bytes = 1 << 20;
    e.o.max_entries = 100;
    tar_add(&t, (struct member){.name = "d", .type = '5', .mode = 0755});
    tar_pax(&t, "SCHILY.xattr.user.a", "b");
    tar_add(&t, (struct member){.name = "d/f", .data = "hello"});
    tar_pax(&t, "linkpath", "d/f");
    tar_add(&t, (struct member){.name = "h", .type = '1', .link = "x"});
    tar_add(&t, (struct member){.name = "s", .type = '2', .link = "/"});
    close(tar_end(&t));
    for (size_t cut = 0; cut < t.b.length - 1536; cut += 256) {
        int status = import(&e, tar_open(&t, cut), &f);
        CHECK(status == 422 || status == 0);
    }
    unsigned seed = 1;
    for (int round = 0; round < 300; round++) {
        size_t at = (size_t)rand_r(&seed) % t.b.length;
        char old = t.b.data[at];
        t.b.data[at] = (char)rand_r(&seed);
        /* With a valid checksum the reader gets further. */
        if (round % 2)
            tar_checksum(t.b.data + at / 512 * 512);
        int status = import(&e, tar_open(&t, t.b.length), &f);
        CHECK(status == 0 || status == 422 || status == 413);
        t.b.data[at] = old;
        tar_checksum(t.b.data + at / 512 * 512);
    }
    buffer_free(&t.b);
    end_env(&e);
}

static int unpack(const struct temp_dir *d, struct tar *t, struct fault *f) {
    struct unpack_options o = {.ids = {BASE, 65536}, .whiteouts = true};
    struct unpack_result r;
    int fd = tar_end(t);
    int result = unpack_tar(d->fd, fd, &o, &r, f);
    close(fd);
    buffer_free(&t->b);
    return result < 0 ? f->status : 0;
}

static void whiteouts(void) {
    struct temp_dir d = temp_dir_make();
    struct fault f = {0};
    struct tar t = tar_begin();
    tar_add(&t, (struct member){.name = "etc/.wh.gone"});
    tar_add(&t, (struct member){.name = "opq/.wh..wh..opq"});
    tar_add(&t, (struct member){.name = "opq/new", .data = "x"});
    tar_add(&t, (struct member){.name = ".wh..wh.plnk"});
    tar_add(&t, (struct member){.name = "own", .data = "mine"});
    tar_add(&t, (struct member){.name = ".wh.own"});
    tar_add(&t, (struct member){.name = "dir/f", .data = "x"});
    tar_add(&t, (struct member){.name = ".wh.dir"});
    tar_add(&t, (struct member){.name = ".wh.later"});
    tar_add(&t, (struct member){.name = "later", .type = '5', .mode = 0755});
    tar_add(&t, (struct member){.name = ".wh.deep"});
    tar_add(&t, (struct member){.name = "deep/er", .data = "x"});
    CHECK_NUMBER(unpack(&d, &t, &f), 0);
    CHECK_STRING(f.message, "");
    CHECK(
        shell("cd %s && test \"$(stat -c '%%F %%t %%T' etc/gone)\" = "
              "'character special file 0 0' && test \"$(cat own)\" = mine && "
              "test -d later -a -f deep/er && test ! -e plnk && "
              "python3 -c \"import os\nfor n in ('opq','dir','later','deep'):\n"
              " assert os.getxattr(n,'user.overlay.opaque')==b'y', n\n"
              "assert not os.listxattr('etc')\"",
              d.path));
    /* And overlay understands them. */
    CHECK(shell("cd %s && mkdir ../l.$$ ../m.$$ && cd ../l.$$ && mkdir -p etc "
                "opq deep && touch etc/gone etc/kept opq/old deep/old && "
                "mount -t overlay overlay -o lowerdir=%s:../l.$$,userxattr "
                "../m.$$ && cd ../m.$$ && find . | sort | tr '\\n' ' ' > "
                "../out.$$; cd ..; umount m.$$; cat out.$$ | grep -q "
                "'^. ./deep ./deep/er ./dir ./dir/f ./etc ./etc/kept ./later "
                "./opq ./opq/new ./own $'; r=$?; rm -r l.$$ m.$$ out.$$; "
                "exit $r",
                d.path, d.path));
    temp_dir_remove(&d);
    static const char *const bad[] = {".wh.", "a/.wh..", "a/.wh..."};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        d = temp_dir_make();
        t = tar_begin();
        tar_add(&t, (struct member){.name = bad[i]});
        CHECK_NUMBER(unpack(&d, &t, &f), 422);
        temp_dir_remove(&d);
    }
}

static void full_disk(void) {
    struct env e = {.d = temp_dir_small(2048)};
    struct fault f;
    if (!temp_dir_holds_layers(&e.d)) {
        temp_dir_remove(&e.d);
        return;
    }
    CHECK(open_importer(&e.m, &e.d, usual_ids));
    CHECK_NUMBER(import(&e, zeros(8 << 20, archive_write_add_filter_gzip), &f),
                 507);
    CHECK(left_nothing(&e));
    CHECK_NUMBER(import(&e, zeros(1 << 20, archive_write_add_filter_gzip), &f),
                 0);
    end_env(&e);
}

/* Run the tests as an ordinary user with one id. */
static int as_nobody(void *arg) {
    struct env *e = arg;
    struct fault f = {0};
    struct tar t = tar_begin();
    if (!open_importer(&e->m, &e->d, (struct id_range){0, 1}) ||
        import_busybox(&e->m, &f) < 0) {
        printf("# %s\n", f.message);
        return 2;
    }
    tar_add(&t, (struct member){.name = "d", .type = '5', .uid = 33});
    tar_add(&t, (struct member){.name = "d/f", .mode = 04755, .uid = 1000});
    tar_add(&t, (struct member){.name = ".wh.x", .uid = 1000});
    if (import(e, tar_end(&t), &f)) {
        printf("# %s\n", f.message);
        return 3;
    }
    return is_owner(e->layer, "d/f", 0, 0104755) ? 0 : 4;
}

static void ordinary_user(void) {
    struct env e = {.d = temp_dir_make()};
    check_as_nobody(&e.d, as_nobody, &e);
    temp_dir_remove(&e.d);
}

/* Archives compressed twice, or in two members, or with junk after the end, or
 * with a window larger than any memory. */
static void streams(void) {
    static const char window[] = "\x28\xb5\x2f\xfd\x00\xa8\x01\x40\x00";
    struct env e = make_env();
    struct fault f;
    char path[100];
    CHECK(shell("cd %s && mkdir in && echo 1 > in/f && tar -cf t in && "
                "gzip < t | gzip > twice && (head -c 700 t | gzip; "
                "tail -c +701 t | gzip) > parts && (cat t; echo rest) > more",
                e.d.path));
    static const char *const names[] = {"twice", "parts", "more"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", e.d.path, names[i]);
        CHECK_NUMBER(import(&e, open(path, O_RDONLY | O_CLOEXEC), &f), 0);
        CHECK(shell("test $(cat %s/in/f) = 1", e.layer));
    }
    CHECK_NUMBER(import_text(&e, window, sizeof window, &f), 422);
    end_env(&e);
}

int main(int argc, char *argv[]) {
    (void)argc;
    if (unpack_is_child(argv))
        return unpack_child();
    RUN(busybox, "busybox:latest is made of the machine's busybox, once");
    RUN(formats, "tar formats and compressions come in whole");
    RUN(attributes, "attributes are kept, but not overlay's");
    RUN(confined, "links and absolute names end inside");
    RUN(refusals, "hostile archives are refused and leave nothing");
    RUN(no_archives, "what is no archive is refused");
    RUN(type_changes, "later entries replace earlier ones");
    RUN(odd_names, "odd and too long names");
    RUN(sparse_lies, "lies about holes");
    RUN(bombs, "bombs stop at the limits");
    RUN(streams, "streams of streams, windows and what follows the end");
    RUN(slow_peers, "a peer that hangs is given up");
    RUN(damaged, "damaged archives do no harm");
    RUN(whiteouts, "whiteouts become overlay's");
    RUN(full_disk, "a full disk is 507 and leaves nothing");
    RUN(ordinary_user, "it works for an ordinary user with one id");
    return CHECK_DONE();
}
