/* test_layer.c: layers are published whole or not at all, workspaces are clean,
 * and leftovers are removed, whatever a run has made of them. */
#define _GNU_SOURCE
#include "base/overlay.h"
#include "base/tree.h"
#include "child.h"
#include "env.h"
#include <errno.h>
#include <linux/fs.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

/* ---- the syncs of this process, instead of those of libc ---- */

static struct {
    pthread_mutex_t lock;
    char paths[64][128]; /* in the order in which they were done */
    size_t count;
    const char *broken; /* syncing a path that ends so fails */
} syncs = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool ends_with(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static int note_sync(long call, int fd) {
    char link[64], path[128] = "";
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    bool known = readlink(link, path, sizeof path - 1) > 0;
    if (known && syncs.broken && ends_with(path, syncs.broken)) {
        errno = EIO;
        return -1;
    }
    int result = (int)syscall(call, fd);
    pthread_mutex_lock(&syncs.lock);
    if (syncs.count < 64)
        snprintf(syncs.paths[syncs.count++], 128, "%s", path);
    pthread_mutex_unlock(&syncs.lock);
    return result;
}

int fsync(int fd) {
    return note_sync(SYS_fsync, fd);
}

int fdatasync(int fd) {
    return note_sync(SYS_fdatasync, fd);
}

/* Which sync was of this path, from 1; 0: none. */
static size_t synced(const char *end) {
    for (size_t i = 0; i < syncs.count; i++)
        if (ends_with(syncs.paths[i], end))
            return i + 1;
    return 0;
}

/* ---- helpers ---- */

static struct env make_env(void) {
    return make_env_in(temp_dir_make());
}

static bool exists(const struct env *e, const char *path) {
    struct stat st;
    return fstatat(e->d.fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Count the entries of a directory below the data directory. */
static int count_entries(const struct env *e, const char *path) {
    char line[200];
    int count = -1;
    snprintf(line, sizeof line, "ls -A %s/%s | wc -l", e->d.path, path);
    FILE *p = popen(line, "r");
    if (p && fscanf(p, "%d", &count) != 1)
        count = -1;
    if (p)
        pclose(p);
    return count;
}

static bool is_empty(struct env *e, const struct workspace *w) {
    bool empty = false;
    CHECK_NUMBER(workspace_is_empty(e->l, w, &empty, NULL), 0);
    return empty;
}

/* Mount the overlay of a workspace on the skeleton and run a command there, as
 * a sandbox would. */
static bool run_in(const struct env *e, const struct workspace *w,
                   const char *command) {
    return shell("cd %s && mkdir -p m && mount -t overlay overlay "
                 "-o lowerdir=l/0,upperdir=%s,workdir=%s,userxattr,volatile m "
                 "&& (cd m && %s); r=$?; umount m && exit $r",
                 e->d.path, w->upper, w->work, command);
}

static void taking(void) {
    struct env e = make_env();
    struct workspace a, b;
    struct stat st;
    struct fault f;
    mode_t mask = umask(077);
    CHECK_NUMBER(workspace_take(e.l, &a, &f), 0);
    umask(mask);
    CHECK_NUMBER(workspace_take(e.l, &b, &f), 0);
    CHECK(a.number != b.number);
    CHECK(fstatat(e.d.fd, a.upper, &st, 0) == 0);
    CHECK(st.st_uid == BASE && st.st_gid == BASE && st.st_mode == 040755);
    CHECK(fstatat(e.d.fd, a.work, &st, 0) == 0);
    CHECK(st.st_uid == BASE && st.st_gid == BASE);
    CHECK(fstatat(e.d.fd, "l/0/tmp", &st, 0) == 0);
    CHECK(st.st_uid == BASE && st.st_mode == 041777);
    CHECK(is_empty(&e, &a));
    end_env(&e);
}

static void emptiness(void) {
    static const char *const changes[] = {
        "echo x > %s/f",
        "mkdir %s/.hidden",
        "ln -s x %s/l",
        "chmod 700 %s",
        "chmod 1755 %s",
        "chown 100001 %s",
        "chgrp 100001 %s",
        "python3 -c \"import os;os.setxattr('%s','user.x',b'')\"",
        "python3 -c \"import os;os.setxattr('%s','user.overlay.overlay.x',"
        "b'')\"",
    };
    struct env e = make_env();
    struct fault f;
    struct workspace w;
    char path[128], line[400];
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        CHECK_NUMBER(workspace_take(e.l, &w, &f), 0);
        CHECK(is_empty(&e, &w));
        snprintf(path, sizeof path, "%s/%s", e.d.path, w.upper);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(line, sizeof line, changes[i], path);
#pragma GCC diagnostic pop
        CHECK(shell("%s", line));
        CHECK(!is_empty(&e, &w));
        int64_t number = w.number;
        workspace_drop(e.l, &w);
        CHECK_NUMBER(workspace_take(e.l, &w, &f), 0);
        CHECK(w.number != number);
        CHECK(is_empty(&e, &w));
        workspace_drop(e.l, &w);
    }
    end_env(&e);
}

/* What could not be moved to the trash has the files of another run. */
static void never_left_ones(void) {
    struct env e = make_env();
    struct fault f;
    struct workspace w;
    CHECK(shell("cd %s/w && mkdir -p 1/u 2/u 1/w && echo secret > 1/u/f && "
                "ln -s / 3",
                e.d.path));
    for (int i = 0; i < 3; i++) {
        CHECK_NUMBER(workspace_take(e.l, &w, &f), 0);
        CHECK(w.number > 3);
        CHECK_NUMBER(count_entries(&e, w.upper), 0);
        workspace_drop(e.l, &w);
        CHECK_NUMBER(workspace_take_for_import(e.l, &w, &f), 0);
        CHECK(w.number > 3);
    }
    CHECK(exists(&e, "w/1/u/f"));
    end_env(&e);
}

static void recycling(void) {
    struct env e = make_env();
    struct fault f;
    struct workspace w;
    int64_t number = 0;
    /* A volatile overlay leaves a mark that forbids the next mount. */
    for (int i = 0; i < 3; i++) {
        CHECK_NUMBER(workspace_take(e.l, &w, &f), 0);
        CHECK(i == 0 || w.number == number);
        number = w.number;
        CHECK(run_in(&e, &w, "ls >/dev/null; echo x > f; rm f; touch ."));
        CHECK(is_empty(&e, &w));
        workspace_drop(e.l, &w);
    }
    CHECK(trash_is_empty(e.l) == false); /* unknown until it was emptied once */
    trash_empty(e.l);
    CHECK(trash_is_empty(e.l));
    CHECK_NUMBER(workspace_take(e.l, &w, &f), 0);
    CHECK_NUMBER(w.number, number);
    CHECK(run_in(&e, &w, "echo x > f; rmdir sys; chmod 700 etc"));
    CHECK(!is_empty(&e, &w));
    workspace_drop(e.l, &w);
    CHECK(!exists(&e, w.upper));
    CHECK(!trash_is_empty(e.l));
    CHECK_NUMBER(count_entries(&e, "trash"), 1);
    trash_empty(e.l);
    CHECK(trash_is_empty(e.l));
    CHECK_NUMBER(count_entries(&e, "trash"), 0);
    end_env(&e);
}

/* Unchanged, changed, mounted, published, and gone. */
static void leaving(void) {
    struct env e = make_env();
    struct fault f;
    struct workspace w[5], again;
    struct stat st;
    bool seen[6] = {false};
    int64_t layer;
    for (int i = 0; i < 5; i++)
        CHECK_NUMBER(workspace_take(e.l, &w[i], &f), 0);
    CHECK(shell("echo > %s/%s/f; chmod 700 %s/%s", e.d.path, w[1].upper,
                e.d.path, w[1].upper));
    CHECK(run_in(&e, &w[2], "echo x > f"));
    CHECK(run_in(&e, &w[3], "echo x > f"));
    CHECK_NUMBER(publish_layer(&e, &w[3], 0, &layer, NULL, &f), 0);
    CHECK(shell("rm -r %s/w/%d", e.d.path, (int)w[4].number));
    trash_empty(e.l);
    for (int i = 0; i < 5; i++)
        if (i != 3) /* publishing leaves it */
            workspace_leave(e.l, &w[i]);
    CHECK_NUMBER(workspaces_left(e.l), 5);
    CHECK(trash_is_empty(e.l) && exists(&e, w[1].upper));
    workspaces_recycle(e.l);
    CHECK_NUMBER(workspaces_left(e.l), 0);
    CHECK_NUMBER(count_entries(&e, "trash"), 2);
    for (int i = 0; i < 4; i++) {
        CHECK_NUMBER(workspace_take(e.l, &again, &f), 0);
        CHECK(again.number <= 4 && !seen[again.number]);
        seen[again.number] = true;
        CHECK(is_empty(&e, &again));
        CHECK(fstatat(e.d.fd, again.upper, &st, 0) == 0);
        CHECK(st.st_uid == BASE && st.st_mode == 040755);
        CHECK(run_in(&e, &again, "echo x > f"));
    }
    workspace_leave(e.l, &again); /* freed when the layers are closed */
    end_env(&e);
}

static void publishing(void) {
    struct env e = make_env();
    struct fault f;
    struct workspace w;
    struct survey v;
    int64_t a, b, bytes, *ids;
    size_t count;
    CHECK_NUMBER(workspace_take(e.l, &w, &f), 0);
    int64_t number = w.number;
    CHECK(run_in(&e, &w,
                 "mkdir -p a/b; head -c 100000 /dev/zero > a/b/f; "
                 "ln a/b/f a/g; mkfifo p; ln -s nowhere s; chmod 0 a/b; "
                 "truncate -s 1T sparse; rmdir run; echo hello > etc/x"));
    CHECK_NUMBER(workspace_survey(e.l, &w, &v, &f), 0);
    CHECK(v.bytes >= 100006 && v.bytes < 110000);
    CHECK(v.entries > 8 && v.entries < 20);
    CHECK_NUMBER(publish_layer(&e, &w, 0, &a, &bytes, &f), 0);
    CHECK(bytes >= 100006 && bytes < 110000);
    char path[32];
    layer_path(a, path);
    CHECK(exists(&e, path));
    CHECK_NUMBER(store_layer_chain(e.s, a, &ids, &count, &f), 0);
    CHECK_NUMBER(count, 1);
    free(ids);
    /* The workspace can be used again, over the new layer too. */
    CHECK_NUMBER(workspaces_left(e.l), 1);
    workspaces_recycle(e.l);
    CHECK_NUMBER(workspace_take(e.l, &w, &f), 0);
    CHECK_NUMBER(w.number, number);
    CHECK(is_empty(&e, &w));
    CHECK(run_in(&e, &w, "for i in $(seq 100); do echo $i > f$i; done"));
    struct image i = {.created = 1, .tag = "t"}, got;
    uuid_random(i.uuid);
    CHECK_NUMBER(workspace_publish_image(e.l, &w, a, &i, &f), 0);
    CHECK_NUMBER(store_image_by_tag(e.s, "t", &got, &f), 0);
    CHECK(got.layer == i.layer && got.size == 292 && i.size == 292);
    CHECK_NUMBER(store_layer_chain(e.s, i.layer, &ids, &count, &f), 0);
    CHECK(count == 2 && ids[1] == a);
    free(ids);
    /* If the image is refused, no layer is left. */
    CHECK_NUMBER(workspace_take(e.l, &w, &f), 0);
    CHECK(run_in(&e, &w, "echo > f"));
    snprintf(i.tag, sizeof i.tag, "Bad");
    uuid_random(i.uuid);
    CHECK_NUMBER(workspace_publish_image(e.l, &w, a, &i, &f), -1);
    CHECK_NUMBER(f.status, 400);
    CHECK_NUMBER(count_entries(&e, "l"), 4);
    /* A missing workspace is a fault, not a crash. */
    CHECK_NUMBER(publish_layer(&e, &w, a, &b, NULL, &f), -1);
    CHECK_NUMBER(f.status, 500);
    end_env(&e);
}

/* A power cut after the answer must lose nothing of a layer, and one before it
 * must not leave a row of a layer that is not whole. */
static void syncing(void) {
    struct env e = make_env();
    struct fault f;
    struct workspace w;
    int64_t layer;
    char path[32], end[64];
    CHECK_NUMBER(workspace_take(e.l, &w, &f), 0);
    CHECK(shell("cd %s/%s && mkdir -p d/e && touch d/e/last && "
                "for i in $(seq 20); do echo $i > f$i; done",
                e.d.path, w.upper));
    syncs.count = 0;
    CHECK_NUMBER(publish_layer(&e, &w, 0, &layer, NULL, &f), 0);
    layer_path(layer, path);
    for (int i = 0; i < 20; i++) {
        snprintf(end, sizeof end, "%s/f%d", path, i + 1);
        CHECK(synced(end));
    }
    static const char *const others[] = {"", "/d", "/d/e", "/d/e/last"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        snprintf(end, sizeof end, "%s%s", path, others[i]);
        CHECK(synced(end));
    }
    CHECK(synced("/l"));
    CHECK_NUMBER(syncs.count, 26);
    CHECK_NUMBER(synced("/contree.db-wal"), 26);
    /* What cannot be synced is no layer, whichever it is. */
    static const char *const broken[] = {"/f1", "/f20", "/d/e", "/l"};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        int before = count_entries(&e, "l");
        CHECK_NUMBER(workspace_take(e.l, &w, &f), 0);
        CHECK(shell("cd %s/%s && mkdir -p d/e && "
                    "for i in $(seq 20); do echo $i > f$i; done",
                    e.d.path, w.upper));
        syncs.broken = broken[i];
        syncs.count = 0;
        CHECK_NUMBER(publish_layer(&e, &w, 0, &layer, NULL, &f), -1);
        CHECK_NUMBER(f.status, 500);
        CHECK(!synced("/contree.db-wal"));
        CHECK_NUMBER(count_entries(&e, "l"), before);
        syncs.broken = NULL;
    }
    end_env(&e);
}

static void root_attributes(void) {
    struct env e = make_env();
    struct fault f;
    struct workspace w;
    struct stat st;
    int64_t a, number;
    char path[32];
    CHECK_NUMBER(workspace_take(e.l, &w, &f), 0);
    CHECK(run_in(&e, &w, "chmod 555 ."));
    CHECK(!is_empty(&e, &w));
    CHECK_NUMBER(publish_layer(&e, &w, 0, &a, NULL, &f), 0);
    layer_path(a, path);
    CHECK(fstatat(e.d.fd, path, &st, 0) == 0 && st.st_mode == 040555);
    CHECK_NUMBER(workspace_take(e.l, &w, &f), 0);
    number = w.number;
    CHECK_NUMBER(workspace_inherit_root(e.l, &w, a, &f), 0);
    CHECK(fstatat(e.d.fd, w.upper, &st, 0) == 0 && st.st_mode == 040555);
    CHECK(is_empty(&e, &w)); /* the run has changed nothing */
    workspace_drop(e.l, &w);
    CHECK_NUMBER(workspace_take(e.l, &w, &f), 0);
    CHECK_NUMBER(w.number, number);
    CHECK(fstatat(e.d.fd, w.upper, &st, 0) == 0 && st.st_mode == 040755);
    CHECK_NUMBER(workspace_inherit_root(e.l, &w, 0, &f), 0);
    CHECK(is_empty(&e, &w));
    CHECK_NUMBER(workspace_inherit_root(e.l, &w, 999, &f), -1);
    end_env(&e);
}

static void recovery(void) {
    struct env e = make_env();
    struct fault f;
    struct workspace w, v;
    int64_t a, lost;
    CHECK_NUMBER(workspace_take(e.l, &w, &f), 0);
    CHECK_NUMBER(workspace_take(e.l, &v, &f), 0);
    CHECK(run_in(&e, &w, "echo > f"));
    CHECK(run_in(&e, &v, "echo > f"));
    CHECK_NUMBER(publish_layer(&e, &w, 0, &a, NULL, &f), 0);
    CHECK_NUMBER(store_layer_reserve(e.s, &lost, &f), 0);
    struct image i = {.created = 1, .layer = lost};
    uuid_random(i.uuid);
    CHECK_NUMBER(store_snapshot_add(e.s, lost, a, 1, &i, &f), 0);
    CHECK(shell("cd %s/l && mkdir 999 9x 0%lld && echo > 999/f && ln -s / 12",
                e.d.path, (long long)a));
    close_env(&e);
    CHECK(open_env(&e, BASE)); /* and logs that `lost` is missing */
    CHECK_NUMBER(count_entries(&e, "l"), 3);
    CHECK_NUMBER(count_entries(&e, "w"), 0);
    CHECK(!trash_is_empty(e.l));
    trash_empty(e.l);
    CHECK_NUMBER(count_entries(&e, "trash"), 0);
    CHECK(exists(&e, "l/0/etc"));
    close_env(&e);
    /* These files belong to the first range of ids: another one is refused. */
    e.s = store_open(e.d.fd, e.d.path, &f);
    e.l = layers_open(e.d.fd, e.s, BASE + 1, &f);
    CHECK(e.l == NULL);
    CHECK_NUMBER(f.status, 409);
    end_env(&e);
}

static void publish(void *arg, int report) {
    struct env *e = arg;
    struct fault f;
    struct workspace w;
    int64_t parent = 0;
    if (!open_env(e, BASE))
        return;
    while (workspace_take(e->l, &w, &f) == 0) {
        char path[64];
        struct image i = {.created = 1};
        snprintf(path, sizeof path, "%s/f", w.upper);
        int fd = openat(e->d.fd, path, O_CREAT | O_WRONLY, 0600);
        uuid_ordered(i.uuid);
        if (write_all(fd, i.uuid, UUID_SIZE) < 0)
            break;
        close(fd);
        if (workspace_publish_image(e->l, &w, parent, &i, &f) < 0 ||
            write_all(report, i.uuid, UUID_SIZE) < 0)
            break;
        parent = i.layer;
    }
}

/* Every reported image is complete, and there are no layers without a row. */
static void check_survivors(struct env *e, int reported) {
    struct fault f;
    struct image got;
    char uuid[UUID_SIZE], path[64], content[UUID_SIZE];
    int count = 0;
    CHECK(open_env(e, BASE));
    while (read_all(reported, uuid, sizeof uuid) == sizeof uuid) {
        CHECK_NUMBER(store_image_by_uuid(e->s, uuid, &got, &f), 0);
        layer_path(got.layer, path);
        snprintf(path + strlen(path), 8, "/f");
        int fd = openat(e->d.fd, path, O_RDONLY);
        CHECK(read_all(fd, content, sizeof content) == sizeof content);
        CHECK_STRING(content, uuid);
        close(fd);
        count++;
    }
    CHECK(count > 0);
    close_env(e);
}

static void killed(void) {
    struct env e = {.d = temp_dir_make()};
    for (int round = 0; round < 4; round++) {
        int reported =
            killed_at_work(publish, &e, 20000 + 9000 * (unsigned)round);
        check_survivors(&e, reported);
        close(reported);
    }
    temp_dir_remove(&e.d);
}

/* Make a chain of directories that is longer than any path, with a file in
 * each. */
static void make_deep(int dir, int depth) {
    int fd = openat(dir, ".", O_RDONLY);
    for (int i = 0; i < depth; i++) {
        int file = openat(fd, "file", O_CREAT | O_WRONLY | O_CLOEXEC, 0);
        close(file);
        CHECK(mkdirat(fd, "d", 0700) == 0);
        int next = openat(fd, "d", O_RDONLY | O_CLOEXEC);
        CHECK(fchmod(fd, 0) == 0);
        close(fd);
        fd = next;
    }
    close(fd);
}

static bool make_immutable(int dir, const char *name) {
    int flags = 0, fd = openat(dir, name, O_RDONLY);
    bool ok = fd >= 0 && ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0;
    flags |= FS_IMMUTABLE_FL;
    ok = ok && ioctl(fd, FS_IOC_SETFLAGS, &flags) == 0;
    close(fd);
    return ok;
}

static void nasty_trees(void) {
    struct env e = make_env();
    struct temp_dir canary = temp_dir_make();
    struct fault f;
    struct workspace w;
    struct survey v;
    CHECK(shell("mkdir %s/keep && echo > %s/keep/f", canary.path, canary.path));
    CHECK_NUMBER(workspace_take(e.l, &w, &f), 0);
    int fd = openat(e.d.fd, w.upper, O_RDONLY | O_DIRECTORY);
    CHECK(fd >= 0);
    make_deep(fd, 3000);
    CHECK(shell("cd %s/%s && ln -s loop loop && ln -s ../../../.. up && "
                "ln -s %s out && mkfifo fifo && mkdir locked frozen && "
                "echo > locked/f && echo > frozen/f && chmod 0 locked && "
                "mknod null c 1 3 && mknod white c 0 0 && "
                "mkdir -p wide/1/2/3 wide/2/2 wide/sub-0/sub-1/x && "
                "touch \"$(printf 'new\\nline\\377')\" -- '-rf' && "
                "for i in $(seq 300); do mkdir wide/d$i; echo > wide/d$i/f; "
                "done",
                e.d.path, w.upper, canary.path));
    CHECK(make_immutable(fd, "frozen/f"));
    CHECK(make_immutable(fd, "frozen"));
    close(fd);
    /* The walk reaches the bottom, although no path does. */
    CHECK_NUMBER(workspace_survey(e.l, &w, &v, &f), 0);
    CHECK_NUMBER(v.bytes, 302);
    workspace_drop(e.l, &w);
    trash_empty(e.l);
    CHECK_NUMBER(count_entries(&e, "trash"), 0);
    CHECK(shell("test -f %s/keep/f", canary.path));
    temp_dir_remove(&canary);
    end_env(&e);
}

/* A mount point in the trash cannot be removed. It is left, and is not tried
 * for ever. */
static void stuck_trash(void) {
    struct env e = make_env();
    CHECK(shell("mkdir -p %s/trash/a/b && touch %s/trash/c && "
                "mount -t tmpfs x %s/trash/a/b",
                e.d.path, e.d.path, e.d.path));
    trash_empty(e.l);
    CHECK(trash_is_empty(e.l));
    CHECK_NUMBER(count_entries(&e, "trash"), 1);
    CHECK(shell("umount %s/trash/a/b", e.d.path));
    trash_empty(e.l);
    CHECK_NUMBER(count_entries(&e, "trash"), 0);
    end_env(&e);
}

static void deleting_one(void) {
    struct temp_dir d = temp_dir_make();
    CHECK(shell("cd %s && mkdir -p t/a/b k && echo > t/a/f && echo > k/f && "
                "ln -s k link && echo > file",
                d.path));
    CHECK_NUMBER(tree_delete_at(d.fd, "t"), 0);
    CHECK_NUMBER(tree_delete_at(d.fd, "link"), 0);
    CHECK_NUMBER(tree_delete_at(d.fd, "file"), 0);
    CHECK_NUMBER(tree_delete_at(d.fd, "absent"), 0);
    CHECK(shell("cd %s && test \"$(ls)\" = k && test -f k/f", d.path));
    temp_dir_remove(&d);
}

static void full_disk(void) {
    struct env e = {.d = temp_dir_small(600)};
    struct fault f = {0};
    struct workspace w;
    int64_t layer;
    if (!temp_dir_holds_layers(&e.d)) {
        temp_dir_remove(&e.d);
        return;
    }
    CHECK(open_env(&e, BASE));
    CHECK_NUMBER(workspace_take(e.l, &w, &f), 0);
    CHECK(shell("echo > %s/%s/f", e.d.path, w.upper));
    CHECK(shell("! head -c 1M /dev/zero > %s/fill 2>/dev/null", e.d.path));
    /* There is no room for the row or the block of ids: no layer is left. */
    CHECK_NUMBER(publish_layer(&e, &w, 0, &layer, NULL, &f), -1);
    CHECK_NUMBER(f.status, 507);
    CHECK_NUMBER(count_entries(&e, "l"), 2);
    CHECK(shell("rm %s/fill", e.d.path));
    trash_empty(e.l);
    CHECK_NUMBER(workspace_take(e.l, &w, &f), 0);
    CHECK(shell("echo > %s/%s/f", e.d.path, w.upper));
    CHECK_NUMBER(publish_layer(&e, &w, 0, &layer, NULL, &f), 0);
    end_env(&e);
}

static void *work(void *arg) {
    struct env *e = arg;
    struct fault f;
    for (int n = 0; n < 60; n++) {
        struct workspace w;
        int64_t layer;
        char path[64];
        if (workspace_take(e->l, &w, &f) < 0)
            return NULL;
        snprintf(path, sizeof path, "%s/f", w.upper);
        if (n % 3)
            close(openat(e->d.fd, path, O_CREAT | O_EXCL | O_WRONLY, 0600));
        if (n % 3 == 2 && publish_layer(e, &w, 0, &layer, NULL, &f) < 0)
            return NULL;
        if (n % 3 != 2)
            (n % 2 ? workspace_drop : workspace_leave)(e->l, &w);
        if (n % 20 == 0) {
            workspaces_recycle(e->l);
            trash_empty(e->l);
        }
    }
    return e;
}

static void threads(void) {
    struct env e = make_env();
    pthread_t t[4];
    void *result;
    for (int i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, work, &e);
    for (int i = 0; i < 4; i++) {
        pthread_join(t[i], &result);
        CHECK(result == &e);
    }
    CHECK_NUMBER(count_entries(&e, "l"), 82);
    trash_empty(e.l);
    CHECK_NUMBER(count_entries(&e, "trash"), 0);
    end_env(&e);
}

/* Run the tests as an ordinary user with one id. */
static int as_nobody(void *arg) {
    struct env *e = arg;
    struct fault f;
    struct workspace w;
    int64_t layer;
    if (!open_env(e, 0) || workspace_take(e->l, &w, &f) < 0)
        return 2;
    char path[64];
    snprintf(path, sizeof path, "%s/d", w.upper);
    if (mkdirat(e->d.fd, path, 0500) < 0 ||
        publish_layer(e, &w, 0, &layer, NULL, &f) < 0)
        return 3;
    workspaces_recycle(e->l);
    if (workspace_take(e->l, &w, &f) < 0 || !is_empty(e, &w))
        return 4;
    snprintf(path, sizeof path, "%s/d", w.upper);
    if (mkdirat(e->d.fd, path, 0500) < 0)
        return 5;
    workspace_drop(e->l, &w);
    trash_empty(e->l);
    return count_entries(e, "trash") == 0 ? 0 : 6;
}

static void ordinary_user(void) {
    struct env e = {.d = temp_dir_make()};
    check_as_nobody(&e.d, as_nobody, &e);
    temp_dir_remove(&e.d);
}

int main(void) {
    RUN(taking, "workspaces belong to root of the sandbox");
    RUN(emptiness, "any change of the root directory counts");
    RUN(never_left_ones, "no workspace that is left is used again");
    RUN(recycling, "clean workspaces are used again, others are deleted");
    RUN(leaving, "what runs leave is made clean later, and used again");
    RUN(publishing, "a layer is published whole, or not");
    RUN(syncing, "all of a layer is on the disk before its row");
    RUN(root_attributes, "mode of the root directory lasts");
    RUN(recovery, "leftovers of a killed engine go");
    RUN(killed, "reported layers survive kill -9, others leave nothing");
    RUN(nasty_trees, "nasty trees are measured and deleted");
    RUN(stuck_trash, "what cannot be deleted is left alone");
    RUN(deleting_one, "one entry is deleted without following links");
    RUN(full_disk, "a full disk is 507 and leaves nothing");
    RUN(threads, "threads take, drop and publish");
    RUN(ordinary_user, "it works for an ordinary user with one id");
    return CHECK_DONE();
}
