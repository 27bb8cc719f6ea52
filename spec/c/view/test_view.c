/* test_view.c: a view shows exactly what overlay would show. */
#define _GNU_SOURCE
#include "base/fault.h"
#include "base/fd.h"
#include "base/tree.h"
#include "check.h"
#include "temp_dir.h"
#include "view/owners.h"
#include "view/view.h"
#include "view/walk.h"
#include <errno.h>
#include <sys/wait.h>

static const struct id_range plain = {0, 65536};

/* Make a data directory with an empty skeleton. */
static struct temp_dir make_data(void) {
    struct temp_dir d = temp_dir_make();
    CHECK(shell("mkdir -p %s/l/0/etc %s/m %s/w", d.path, d.path, d.path));
    return d;
}

/* Mount layers `below` .. 1, with layer `upper` to be written to (0: none). */
static bool mount_layers(const struct temp_dir *d, int below, int upper) {
    char lower[4000] = "";
    size_t used = 0;
    for (int i = below; i >= 0; i--)
        used += (size_t)snprintf(lower + used, sizeof lower - used, "%sl/%d",
                                 used ? ":" : "", i);
    if (!upper)
        return shell("cd %s && mount -t overlay overlay -o "
                     "lowerdir=%s,userxattr m",
                     d->path, lower);
    return shell("cd %s && mkdir -p l/%d w/%d && mount -t overlay overlay -o "
                 "lowerdir=%s,upperdir=l/%d,workdir=w/%d,userxattr m",
                 d->path, upper, upper, lower, upper, upper);
}

static void unmount_layers(const struct temp_dir *d) {
    CHECK(shell("umount %s/m", d->path));
}

/* Make layer `number` by a command in a mount of the layers below. */
static void make_layer(const struct temp_dir *d, int number,
                       const char *command) {
    CHECK(mount_layers(d, number - 1, number));
    CHECK(shell("cd %s/m && %s", d->path, command));
    unmount_layers(d);
}

static struct view *open_view(const struct temp_dir *d, int top,
                              struct id_range ids) {
    int64_t layers[512];
    struct fault f = {0};
    for (int i = 0; i < top; i++)
        layers[i] = top - i;
    struct view *v = view_open(d->fd, layers, (size_t)top, ids, &f);
    if (!v)
        printf("# view_open: %s\n", f.message);
    return v;
}

/* Print an item as the find command below does. */
static void print_item(FILE *out, const struct item *i) {
    static const char letters[] = "?pc?d?b?f?l?s";
    bool directory = S_ISDIR(i->st.st_mode);
    fprintf(out, "%s|%c|%o|%u|%u|%lld|%lld|%d|%s\n", i->path,
            letters[(i->st.st_mode & S_IFMT) >> 12], i->st.st_mode & 07777,
            i->st.st_uid, i->st.st_gid,
            directory ? 0LL : (long long)i->st.st_size,
            (long long)i->st.st_mtime, directory ? 0 : (int)i->st.st_nlink,
            i->target);
}

/* Compare a walk of the view with find in a mount of the same layers. */
static bool same_as_overlay(const struct temp_dir *d, int top) {
    char path[100];
    struct fault f = {0};
    struct item i;
    int more;
    struct view *v = open_view(d, top, plain);
    struct walk *w = v ? walk_begin(v, "/", &f) : NULL;
    if (!w)
        return false;
    snprintf(path, sizeof path, "%s/ours", d->path);
    FILE *out = fopen(path, "w");
    while ((more = walk_next(w, &i, &f)) == 1)
        print_item(out, &i);
    fclose(out);
    walk_end(w);
    view_close(v);
    if (more < 0)
        printf("# walk: %s\n", f.message);
    bool ok = more == 0 && mount_layers(d, top, 0) &&
              shell("cd %s/m && find . \\( -type d -printf "
                    "'%%P|%%y|%%m|%%U|%%G|0|%%Ts|0|\\n' -o -printf "
                    "'%%P|%%y|%%m|%%U|%%G|%%s|%%Ts|%%n|%%l\\n' \\) | sed "
                    "'s/|\\([0-9]*\\)\\.[0-9]*|/|\\1|/' | LC_ALL=C sort > "
                    "../theirs; cd .. && LC_ALL=C sort ours | diff - theirs",
                    d->path);
    unmount_layers(d);
    return ok;
}

static void by_hand(void) {
    struct temp_dir d = make_data();
    make_layer(&d, 1,
               "mkdir -p a/b/c dir keep x/y && echo 1 > a/b/c/f && echo 2 > "
               "a/g && ln a/g a/h && ln -s ../a/g dir/l && echo > keep/k && "
               "echo > gone && echo > x/y/z && mkfifo p && chmod 1777 dir");
    make_layer(&d, 2,
               "rm gone && rm -r a/b && mkdir a/b && echo 3 > a/b/new && "
               "rm -r x && echo file > x && chmod 700 keep && rm p");
    make_layer(&d, 3,
               "rm x && mkdir x && echo > x/again && mkdir p && echo > p/in && "
               "echo back > gone && mv a/g a/moved && chown 5:6 dir");
    for (int top = 1; top <= 3; top++)
        CHECK(same_as_overlay(&d, top));
    temp_dir_remove(&d);
}

/* Make one random change, up to three levels deep. It may fail. */
static void change(int dir, unsigned *seed) {
    char path[32] = "", other[32] = "";
    for (int i = 0, depth = 1 + rand_r(seed) % 3; i < depth; i++) {
        snprintf(path + strlen(path), 8, "%s%c", i ? "/" : "",
                 'a' + rand_r(seed) % 4);
        snprintf(other + strlen(other), 8, "%s%c", i ? "/" : "",
                 'a' + rand_r(seed) % 4);
    }
    int done = 0, fd;
    switch (rand_r(seed) % 8) {
    case 0:
    case 1:
        done = mkdirat(dir, path, 0755);
        break;
    case 2:
    case 3:
        fd = openat(dir, path, O_CREAT | O_WRONLY | O_NOFOLLOW | O_NONBLOCK,
                    0644);
        done = write(fd, "text", 4) == 4;
        close(fd);
        break;
    case 4:
        done = tree_delete_at(dir, path);
        break;
    case 5:
        done = symlinkat(other, dir, path);
        break;
    case 6:
        done = renameat(dir, path, dir, other);
        break;
    default:
        done = linkat(dir, path, dir, other, 0) +
               fchmodat(dir, other, (mode_t)(0700 + rand_r(seed) % 64), 0);
    }
    (void)done;
}

static void at_random(void) {
    unsigned seed = 7;
    for (int round = 0; round < 6; round++) {
        struct temp_dir d = make_data();
        for (int layer = 1; layer <= 5; layer++) {
            CHECK(mount_layers(&d, layer - 1, layer));
            int fd = openat(d.fd, "m", O_RDONLY | O_DIRECTORY);
            for (int i = 0; i < 40; i++)
                change(fd, &seed);
            close(fd);
            unmount_layers(&d);
        }
        CHECK(same_as_overlay(&d, 5));
        temp_dir_remove(&d);
    }
}

static int stat_status(struct view *v, const char *path, bool follow,
                       struct item *i) {
    struct fault f = {0};
    return inspect_stat(v, path, follow, i, &f) < 0 ? f.status : 0;
}

static void paths(void) {
    struct temp_dir d = make_data();
    struct item i;
    make_layer(
        &d, 1,
        "mkdir -p usr/bin && echo text > usr/bin/tool && ln -s usr/bin "
        "bin && ln -s /bin/tool abs && ln -s ../../../../etc/shadow out "
        "&& ln -s / root && ln -s loop loop && ln -s b c && ln -s c b && "
        "ln -s nowhere dangling && ln -s tool/ usr/bin/slash && "
        "ln -s /proc/self/environ magic && ln -s l1 l0 && "
        "for i in $(seq 1 50); do ln -s l$((i+1)) l$i; done && "
        "echo end > l51");
    struct view *v = open_view(&d, 1, plain);
    CHECK_NUMBER(stat_status(v, "/", true, &i), 0);
    CHECK(S_ISDIR(i.st.st_mode) && !*i.path && !*i.name);
    CHECK_NUMBER(stat_status(v, "/bin/tool", true, &i), 0);
    CHECK_STRING(i.path, "usr/bin/tool");
    CHECK_STRING(i.name, "tool");
    CHECK_NUMBER(i.st.st_size, 5);
    CHECK_NUMBER(i.layer, 1);
    CHECK_NUMBER(stat_status(v, "//bin/./../bin///tool", true, &i), 0);
    CHECK_STRING(i.path, "usr/bin/tool");
    CHECK_NUMBER(stat_status(v, "/root/root/root/abs", true, &i), 0);
    CHECK_STRING(i.path, "usr/bin/tool");
    CHECK_NUMBER(stat_status(v, "/abs", false, &i), 0);
    CHECK(S_ISLNK(i.st.st_mode));
    CHECK_STRING(i.target, "/bin/tool");
    CHECK_NUMBER(stat_status(v, "/bin", false, &i), 0);
    CHECK_STRING(i.path, "bin");
    CHECK_NUMBER(stat_status(v, "/../../../usr", true, &i), 0);
    CHECK_STRING(i.path, "usr");
    CHECK_NUMBER(stat_status(v, "/usr/bin/..", true, &i), 0);
    CHECK(S_ISDIR(i.st.st_mode));
    CHECK_STRING(i.path, "usr");
    CHECK_NUMBER(stat_status(v, "/bin/..", true, &i), 0);
    CHECK_STRING(i.path, "usr"); /* the link is followed before ".." */
    /* No path leads out to the machine. */
    CHECK_NUMBER(stat_status(v, "/out", true, &i), 404);
    CHECK_NUMBER(stat_status(v, "/magic", true, &i), 404);
    CHECK_NUMBER(stat_status(v, "/../../etc/passwd", true, &i), 404);
    CHECK_NUMBER(stat_status(v, "/proc/self/environ", true, &i), 404);
    CHECK_NUMBER(stat_status(v, "/nothing", true, &i), 404);
    CHECK_NUMBER(stat_status(v, "/usr/bin/tool/x", true, &i), 404);
    CHECK_NUMBER(stat_status(v, "/dangling", true, &i), 404);
    CHECK_NUMBER(stat_status(v, "/dangling", false, &i), 0);
    CHECK_NUMBER(stat_status(v, "/loop", true, &i), 422);
    CHECK_NUMBER(stat_status(v, "/b/x", true, &i), 422);
    CHECK_NUMBER(stat_status(v, "/l0", true, &i), 422);
    CHECK_NUMBER(stat_status(v, "/l12", true, &i), 0);
    CHECK_STRING(i.path, "l51");
    CHECK_NUMBER(stat_status(v, "usr", true, &i), 400);
    CHECK_NUMBER(stat_status(v, "", true, &i), 400);
    char longer[5000];
    memset(longer, 'x', sizeof longer);
    longer[0] = '/';
    longer[300] = 0;
    CHECK_NUMBER(stat_status(v, longer, true, &i), 404);
    longer[300] = 'x';
    longer[4500] = 0;
    CHECK_NUMBER(stat_status(v, longer, true, &i), 400);
    for (int n = 0; n < 3990; n++)
        longer[n] = n % 2 ? '.' : '/';
    longer[3990] = 0;
    CHECK_NUMBER(stat_status(v, longer, true, &i), 0);
    view_close(v);
    temp_dir_remove(&d);
}

static int open_status(struct view *v, const char *path) {
    struct fault f = {0};
    struct stat st;
    int fd = inspect_open(v, path, &st, &f);
    if (fd >= 0)
        close(fd);
    return fd < 0 ? f.status : 0;
}

static void opening(void) {
    struct temp_dir d = make_data();
    struct fault f;
    struct stat st;
    char text[16] = "";
    make_layer(&d, 1,
               "echo hello > f && ln -s f l && mkfifo p && mkdir d && ln -s p "
               "lp && chmod 0 f && mknod null c 1 3 && ln -s null ln");
    struct view *v = open_view(&d, 1, plain);
    int fd = inspect_open(v, "/l", &st, &f);
    CHECK(read_all(fd, text, sizeof text) == 6);
    CHECK_STRING(text, "hello\n");
    CHECK_NUMBER(st.st_size, 6);
    CHECK_NUMBER(write(fd, "x", 1), -1);
    close(fd);
    CHECK_NUMBER(open_status(v, "/p"), 422);
    CHECK_NUMBER(open_status(v, "/lp"), 422);
    CHECK_NUMBER(open_status(v, "/d"), 422);
    CHECK_NUMBER(open_status(v, "/"), 422);
    CHECK_NUMBER(open_status(v, "/null"), 422);
    CHECK_NUMBER(open_status(v, "/ln"), 422);
    CHECK_NUMBER(open_status(v, "/none"), 404);
    view_close(v);
    temp_dir_remove(&d);
}

struct seen {
    int count, stop_after;
    char names[1000];
};

static bool see(void *arg, const struct item *i) {
    struct seen *s = arg;
    snprintf(s->names + strlen(s->names), sizeof s->names - strlen(s->names),
             "%s,", i->name);
    return ++s->count != s->stop_after;
}

static void listing(void) {
    struct temp_dir d = make_data();
    struct fault f;
    struct seen s = {0};
    make_layer(
        &d, 1,
        "mkdir -p d/sub && cd d && touch b a c gone .hidden && ln -s a l "
        "&& touch \"$(printf 'x\\377\\nz')\" && ln -s d ../dl");
    make_layer(&d, 2, "rm d/gone && touch d/a2 d/b");
    struct view *v = open_view(&d, 2, plain);
    CHECK_NUMBER(inspect_list(v, "/dl", see, &s, &f), 0);
    CHECK_STRING(s.names, ".hidden,a,a2,b,c,l,sub,x\377\nz,");
    s = (struct seen){.stop_after = 3};
    CHECK_NUMBER(inspect_list(v, "/d", see, &s, &f), 0);
    CHECK_NUMBER(s.count, 3);
    s = (struct seen){0};
    CHECK_NUMBER(inspect_list(v, "/d/sub", see, &s, &f), 0);
    CHECK_NUMBER(s.count, 0);
    CHECK_NUMBER(inspect_list(v, "/d/a", see, &s, &f), -1);
    CHECK_NUMBER(f.status, 422);
    CHECK_NUMBER(inspect_list(v, "/none", see, &s, &f), -1);
    CHECK_NUMBER(f.status, 404);
    CHECK_NUMBER(inspect_list(v, "/d/x\377\nz/", see, &s, &f), -1);
    CHECK_NUMBER(f.status, 422);
    view_close(v);
    temp_dir_remove(&d);
}

static void owners(void) {
    struct temp_dir d = make_data();
    struct item i;
    make_layer(&d, 1,
               "chown 1000:1000 . && mkdir -p etc && printf 'root:x:0:0::/:\\n"
               "first:x:7:\\nsecond:x:7:7\\nbad name:x:8:\\nb\\377d:x:9:\\n"
               "none:x:ab:\\n:x:10:\\nshort\\nbig:x:99999999999:\\n"
               "last:x:12:' > etc/passwd && printf 'wheel:x:0:\\n' > etc/group "
               "&& echo > f && chown 1007:1000 f && echo > g && chown 5:5 g");
    CHECK(shell("chown 1000:1000 %s/l/1", d.path));
    struct view *v = open_view(&d, 1, (struct id_range){1000, 100});
    CHECK_NUMBER(stat_status(v, "/f", true, &i), 0);
    CHECK_NUMBER(i.st.st_uid, 7);
    CHECK_NUMBER(i.st.st_gid, 0);
    CHECK_STRING(view_user(v, 7), "first");
    CHECK_STRING(view_user(v, 0), "root");
    CHECK_STRING(view_user(v, 12), "last");
    CHECK_STRING(view_group(v, 0), "wheel");
    CHECK(!view_user(v, 8) && !view_user(v, 9) && !view_user(v, 10));
    CHECK(!view_user(v, 99) && !view_group(v, 7));
    CHECK_NUMBER(stat_status(v, "/g", true, &i), 0);
    CHECK_NUMBER(i.st.st_uid, 65534); /* not an id of the sandbox */
    CHECK_NUMBER(stat_status(v, "/", true, &i), 0);
    CHECK_NUMBER(i.st.st_uid, 0);
    view_close(v);
    temp_dir_remove(&d);
}

/* These images try to make /etc/passwd and /etc/group lead elsewhere. */
static void no_names(void) {
    static const char *const commands[] = {
        "mkdir etc; mkfifo etc/passwd",
        "mkdir -p etc/passwd",
        "mkdir etc; ln -s /etc/passwd etc/passwd",
        "mkdir etc; ln -s ../../../../../../etc/passwd etc/passwd",
        "ln -s / etc",
        "mkdir etc; head -c 3000000 /dev/zero > etc/passwd",
        "true"};
    for (size_t n = 0; n < sizeof commands / sizeof *commands; n++) {
        struct temp_dir d = temp_dir_make();
        CHECK(shell("mkdir -p %s/l/0 %s/m %s/w", d.path, d.path, d.path));
        make_layer(&d, 1, commands[n]);
        struct view *v = open_view(&d, 1, plain);
        CHECK(view_user(v, 0) == NULL);
        CHECK(view_user(v, 0) == NULL);
        view_close(v);
        temp_dir_remove(&d);
    }
}

static void deep_trees(void) {
    struct temp_dir d = make_data();
    struct fault f = {0};
    struct item i;
    int count = 0, more;
    CHECK(shell("mkdir %s/l/1", d.path));
    int fd = openat(d.fd, "l/1", O_RDONLY | O_DIRECTORY);
    for (int n = 0; n < 1000; n++) {
        CHECK(mkdirat(fd, "d", 0755) == 0);
        int next = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        close(fd);
        fd = next;
    }
    struct view *v = open_view(&d, 1, plain);
    struct walk *w = walk_begin(v, "/", &f);
    while ((more = walk_next(w, &i, &f)) == 1)
        count++;
    walk_end(w);
    CHECK_NUMBER(more, 0);
    CHECK_NUMBER(count, 1002);
    /* A directory deeper than any path is refused without a crash. */
    for (int n = 0; n < 2000; n++) {
        CHECK(mkdirat(fd, "d", 0755) == 0);
        int next = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        close(fd);
        fd = next;
    }
    close(fd);
    w = walk_begin(v, "/", &f);
    while ((more = walk_next(w, &i, &f)) == 1)
        count++;
    CHECK_NUMBER(more, -1);
    CHECK_NUMBER(f.status, 422);
    walk_end(w);
    view_close(v);
    temp_dir_remove(&d);
}

static void walking(void) {
    struct temp_dir d = make_data();
    struct fault f;
    struct item i;
    char names[200] = "", text[8] = "";
    make_layer(&d, 1,
               "mkdir -p t/a/x t/b/y && echo 1 > t/a/x/f && echo 2 > t/b/f && "
               "ln -s a t/l && ln -s t/b/f link && mkfifo t/p");
    struct view *v = open_view(&d, 1, plain);
    struct walk *w = walk_begin(v, "/t", &f);
    while (walk_next(w, &i, &f) == 1) {
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s ",
                 i.path);
        if (strcmp(i.name, "a") == 0)
            walk_skip(w);
        int fd = walk_open(w, &f);
        CHECK((fd >= 0) == (S_ISREG(i.st.st_mode) || S_ISDIR(i.st.st_mode)));
        if (S_ISREG(i.st.st_mode)) {
            CHECK(read_all(fd, text, sizeof text) == 2);
        }
        if (fd >= 0)
            close(fd);
    }
    CHECK_STRING(names, "t t/a t/b t/b/f t/b/y t/l t/p ");
    CHECK_STRING(text, "2\n");
    walk_end(w);
    w = walk_begin(v, "/link", &f);
    CHECK_NUMBER(walk_next(w, &i, &f), 1);
    CHECK_STRING(i.path, "t/b/f");
    CHECK_NUMBER(walk_next(w, &i, &f), 0);
    walk_end(w);
    CHECK(walk_begin(v, "/none", &f) == NULL);
    CHECK_NUMBER(f.status, 404);
    walk_end(NULL);
    /* The walk is stopped in the middle. */
    w = walk_begin(v, "/", &f);
    for (int n = 0; n < 4; n++)
        CHECK_NUMBER(walk_next(w, &i, &f), 1);
    walk_end(w);
    view_close(v);
    temp_dir_remove(&d);
}

static void many_layers(void) {
    struct temp_dir d = make_data();
    struct item i;
    struct fault f;
    struct seen s = {0};
    CHECK(shell("cd %s/l && for i in $(seq 1 500); do mkdir -p $i/d; echo $i > "
                "$i/d/f; echo > $i/d/$((i %% 50)); done",
                d.path));
    struct view *v = open_view(&d, 500, plain);
    CHECK_NUMBER(stat_status(v, "/d/f", true, &i), 0);
    CHECK_NUMBER(i.layer, 500);
    CHECK_NUMBER(inspect_list(v, "/d", see, &s, &f), 0);
    CHECK_NUMBER(s.count, 51);
    view_close(v);
    CHECK(shell("rm -r %s/l/250", d.path));
    int64_t missing = 250;
    CHECK(view_open(d.fd, &missing, 1, plain, &f) == NULL);
    CHECK_NUMBER(f.status, 500);
    CHECK(strstr(f.message, "layer 250 is missing") != NULL);
    view_close(NULL);
    temp_dir_remove(&d);
}

int main(void) {
    RUN(by_hand, "a view is what overlay shows");
    RUN(at_random, "a view of random layers is what overlay shows");
    RUN(paths, "paths end inside the image");
    RUN(opening, "only regular files are opened");
    RUN(listing, "directories are listed");
    RUN(owners, "ids are those of the sandbox, names those of the image");
    RUN(no_names, "no names come from elsewhere");
    RUN(deep_trees, "deep trees");
    RUN(walking, "walks");
    RUN(many_layers, "500 layers, and one that is missing");
    return CHECK_DONE();
}
