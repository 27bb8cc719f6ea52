/* watch.c: whatever is done to a watched directory, and whenever the watch gets
 * to look, the tree that its events describe is the tree. The input is a byte
 * (whether what is below is watched, too), then two bytes for each thing that
 * is done: what, and to which paths. */
#define _GNU_SOURCE
#include "../input.h"
#include <fcntl.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Time passes when the input says so. */
static int64_t milliseconds = 1000000;

static void tell_time(struct timespec *t) {
    t->tv_sec = milliseconds / 1000;
    t->tv_nsec = milliseconds % 1000 * 1000000;
}

#define clock_gettime(clock, t) tell_time(t)
#include "../../src/init/watch.c"

enum { PATHS = 16, ENTRIES = 256, DEEDS = 40, PATH = 128, BEFORE = 4 };

static int top = -1, outside = -1; /* made once */
static char where[320];            /* of `top` */

/* ---- trees ---- */

struct entry {
    char path[PATH];
    bool is_dir;
};
/* What there is, in no order. */
struct tree {
    struct entry list[ENTRIES];
    size_t count;
};

static bool is_at_or_below(const char *path, const char *above) {
    size_t n = strlen(above);
    return strncmp(path, above, n) == 0 && (path[n] == '/' || !path[n]);
}

static struct entry *find(struct tree *t, const char *path) {
    for (size_t i = 0; i < t->count; i++)
        if (strcmp(t->list[i].path, path) == 0)
            return &t->list[i];
    return NULL;
}

static void remove_all(struct tree *t, const char *path) {
    for (size_t i = 0; i < t->count;)
        if (is_at_or_below(t->list[i].path, path))
            t->list[i] = t->list[--t->count];
        else
            i++;
}

static void add_entry(struct tree *t, const char *path, bool is_dir) {
    struct entry *old = find(t, path);
    if (old && old->is_dir == is_dir)
        return;
    if (old)
        remove_all(t, path);
    size_t length = strlen(path);
    HOLDS(t->count < ENTRIES && length < PATH);
    struct entry *e = &t->list[t->count++];
    memcpy(e->path, path, length + 1);
    e->is_dir = is_dir;
}

static void move_all(struct tree *t, const char *from, const char *to,
                     bool is_dir) {
    struct tree moved = {.count = 0};
    char path[2 * PATH];
    for (size_t i = 0; i < t->count; i++) {
        const struct entry *e = &t->list[i];
        if (!is_at_or_below(e->path, from) || strcmp(e->path, from) == 0)
            continue;
        snprintf(path, sizeof path, "%.*s%.*s", PATH - 1, to, PATH - 1,
                 e->path + strlen(from));
        add_entry(&moved, path, e->is_dir);
    }
    remove_all(t, from);
    remove_all(t, to);
    add_entry(t, to, is_dir);
    for (size_t i = 0; i < moved.count; i++)
        add_entry(t, moved.list[i].path, moved.list[i].is_dir);
}

static void look(struct tree *t, const char *path, bool recursive) {
    int fd = openat(top, *path ? path : ".", O_RDONLY | O_DIRECTORY);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    char below[PATH + 256];
    struct stat st;
    HOLDS(dir);
    for (const struct dirent *e; (e = readdir(dir));) {
        if (e->d_name[0] == '.')
            continue;
        snprintf(below, sizeof below, "%s%s%s", path, *path ? "/" : "",
                 e->d_name);
        HOLDS(fstatat(top, below, &st, AT_SYMLINK_NOFOLLOW) == 0);
        add_entry(t, below, S_ISDIR(st.st_mode));
        if (recursive && S_ISDIR(st.st_mode))
            look(t, below, true);
    }
    closedir(dir);
}

static void must_be_same(struct tree *a, struct tree *b) {
    HOLDS(a->count == b->count);
    for (size_t i = 0; i < a->count; i++) {
        const struct entry *other = find(b, a->list[i].path);
        HOLDS(other && other->is_dir == a->list[i].is_dir);
    }
}

/* ---- what is done ---- */

/* Names of two letters: few, so that most of them exist. */
static void path_of(unsigned number, char path[PATH]) {
    static const char *const paths[PATHS] = {
        "a",   "b",   "a",   "b",   "a/a", "a/b",   "b/a",   "b/b",
        "a/a", "a/b", "b/a", "b/b", "a/a", "b/b/a", "a/b/a", "b/a/b"};
    snprintf(path, PATH, "%s", paths[number % PATHS]);
}

/* What is moved into itself again and again gets deep. */
static void empty(int fd) {
    DIR *dir = fdopendir(fd);
    HOLDS(dir);
    for (const struct dirent *e; (e = readdir(dir));)
        if (e->d_name[0] != '.' && unlinkat(fd, e->d_name, 0) < 0) {
            empty(openat(fd, e->d_name, O_RDONLY | O_DIRECTORY));
            HOLDS(unlinkat(fd, e->d_name, AT_REMOVEDIR) == 0);
        }
    closedir(dir);
}

/* -1: it cannot be done. */
static int act(uint8_t what, uint8_t to_what) {
    char path[PATH], other[PATH], name[] = {"ab"[to_what & 1], '\0'};
    path_of(to_what % PATHS, path);
    path_of(to_what / PATHS, other);
    switch (what % 10) {
    case 0:
    case 1:
        return mkdirat(top, path, 0755);
    case 2:
        return close(openat(top, path, O_WRONLY | O_CREAT | O_EXCL, 0644));
    case 3:
        return unlinkat(top, path, 0);
    case 4:
        return unlinkat(top, path, AT_REMOVEDIR);
    case 5:
    case 6:
        return renameat(top, path, top, other);
    case 7: /* out of the tree, where one level is left */
        return strlen(path) > 1 ? renameat(top, path, outside, name) : -1;
    case 8: /* and in again */
        return strlen(path) > 1 ? renameat(outside, name, top, path) : -1;
    }
    return fchmodat(top, path, to_what & 64 ? 0700 : 0755, 0);
}

/* ---- what is told ---- */

struct told {
    struct tree tree;
    bool ready, lost, over;
};

static void hear(struct told *t, int from) {
    struct watch_packet p;
    ssize_t n;
    while ((n = recv(from, &p, sizeof p, MSG_DONTWAIT)) > 0) {
        const char *second = p.text + strlen(p.text) + 1;
        HOLDS(!t->over && (t->ready || p.kind == WATCH_READY));
        HOLDS(second + strlen(second) + 1 == (char *)&p + n);
        HOLDS(strlen(p.text) < PATH && *p.text != '/');
        if (p.kind == WATCH_READY)
            t->ready = true;
        else if (p.kind == WATCH_OVERFLOW)
            t->lost = true;
        else if (p.kind == WATCH_CREATED)
            add_entry(&t->tree, p.text, p.is_dir);
        else if (p.kind == WATCH_DELETED)
            remove_all(&t->tree, p.text);
        else if (p.kind == WATCH_MOVED)
            move_all(&t->tree, second, p.text, p.is_dir);
        else
            t->over = p.kind == WATCH_END || p.kind == WATCH_FAILED;
    }
}

/* Until there is nothing to tell. */
static void settle(struct watches *all, struct told *t, int from) {
    for (int quiet = 0; quiet < 8; quiet++) {
        struct tree before = t->tree;
        milliseconds += 2 * MOVE_MS;
        watches_work(all);
        hear(t, from);
        if (memcmp(&before, &t->tree, sizeof before) != 0)
            quiet = 0;
    }
}

static void make_site(void) {
    snprintf(where, sizeof where, "%s/top", fuzz_directory("watch"));
    char other[320];
    snprintf(other, sizeof other, "%s/outside", fuzz_directory("watch"));
    HOLDS(mkdir(where, 0755) == 0 && mkdir(other, 0755) == 0);
    top = open(where, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    outside = open(other, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    HOLDS(top >= 0 && outside >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct told t; /* large */
    struct input in = {data, size};
    struct watches all = {0};
    struct tree now = {.count = 0};
    int pair[2];
    if (top < 0)
        make_site();
    empty(openat(top, ".", O_RDONLY | O_DIRECTORY));
    empty(openat(outside, ".", O_RDONLY | O_DIRECTORY));
    int before = open_descriptors();
    HOLDS(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
                     pair) == 0);
    bool recursive = input_byte(&in) & 1;
    for (int i = 0; i < BEFORE; i++) {
        uint8_t what = input_byte(&in);
        act(what, input_byte(&in));
    }
    memset(&t, 0, sizeof t);
    look(&t.tree, "", recursive);
    watch_start(&all, where, recursive, pair[1]);
    while (!t.ready) {
        watches_work(&all);
        hear(&t, pair[0]);
    }
    for (int i = 0; i < DEEDS && in.left > 0; i++) {
        uint8_t what = input_byte(&in);
        act(what, input_byte(&in));
        milliseconds += what & 32 ? MOVE_MS / 4 : 0;
        if (what & 64)
            watches_work(&all);
        hear(&t, pair[0]);
    }
    settle(&all, &t, pair[0]);
    look(&now, "", recursive);
    if (!t.lost)
        must_be_same(&t.tree, &now);
    watches_finish(&all);
    hear(&t, pair[0]);
    HOLDS(t.over);
    close(pair[0]);
    HOLDS(open_descriptors() == before);
    return 0;
}
