/* test_diff.c: the quick diff finds the same changes as a full comparison. */
#define _GNU_SOURCE
#include "base/fault.h"
#include "base/fd.h"
#include "base/tree.h"
#include "check.h"
#include "temp_dir.h"
#include "view/diff.h"
#include "view/view.h"
#include "view/walk.h"
#include <errno.h>

static const struct id_range plain = {0, 65536};

/* A chain of layers, the top first. */
struct chain {
    size_t count;
    int64_t ids[16];
};

static struct chain on_top(struct chain c, int64_t id) {
    memmove(c.ids + 1, c.ids, c.count * sizeof *c.ids);
    c.ids[0] = id;
    c.count++;
    return c;
}

static struct temp_dir make_data(void) {
    struct temp_dir d = temp_dir_make();
    CHECK(shell("mkdir -p %s/l/0/etc %s/m %s/w", d.path, d.path, d.path));
    return d;
}

/* Mount the chain with the new layer `id` on top, writable. */
static void mount_on(const struct temp_dir *d, struct chain c, int64_t id) {
    char lower[400] = "";
    for (size_t i = 0; i < c.count; i++)
        snprintf(lower + strlen(lower), 16, "l/%d:", (int)c.ids[i]);
    CHECK(shell("cd %s && mkdir -p l/%d w/%d && mount -t overlay overlay -o "
                "lowerdir=%sl/0,upperdir=l/%d,workdir=w/%d,userxattr m",
                d->path, (int)id, (int)id, lower, (int)id, (int)id));
}

static struct chain make_layer(const struct temp_dir *d, struct chain below,
                               int64_t id, const char *command) {
    mount_on(d, below, id);
    CHECK(shell("cd %s/m && %s", d->path, command));
    CHECK(shell("umount %s/m", d->path));
    return on_top(below, id);
}

static struct view *open_view(const struct temp_dir *d, struct chain c) {
    struct fault f = {0};
    struct view *v = view_open(d->fd, c.ids, c.count, plain, &f);
    if (!v)
        printf("# view_open: %s\n", f.message);
    return v;
}

/* ---- what the diff says ---- */

static bool print_change(void *arg, const struct change *c) {
    static const char types[] = "?pc?d?b?f?l?s";
    fprintf(arg, "%c /%s %c\n", "ACR"[c->kind], c -> path,
            types[c->st.st_mode >> 12 & 15]);
    return true;
}

/* Return the diff, a line for each change. The caller frees it. */
static char *diff(const struct temp_dir *d, struct chain base,
                  struct chain image, int64_t limit, bool *truncated) {
    struct fault f = {0};
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    struct view *a = open_view(d, base), *b = open_view(d, image);
    struct diff_options o = {.limit = limit};
    if (inspect_diff(a, b, &o, print_change, out, truncated, &f) < 0)
        fprintf(out, "%d %s", f.status, f.message);
    view_close(a);
    view_close(b);
    fclose(out);
    return text;
}

static void expect(const struct temp_dir *d, struct chain base,
                   struct chain image, const char *want) {
    bool truncated;
    char *text = diff(d, base, image, 1000, &truncated);
    CHECK_STRING(text, want);
    CHECK(!truncated);
    free(text);
}

static void by_hand(void) {
    struct temp_dir d = make_data();
    struct chain none = {0};
    struct chain base =
        make_layer(&d, none, 1,
                   "mkdir -p a/b gone/x keep && echo 1 > a/b/f "
                   "&& echo 1 > gone/x/y && echo 1 > keep/k && "
                   "ln -s k keep/l && echo 1 > t && echo 1 > s");
    expect(&d, base, base, "");
    struct chain image = make_layer(&d, base, 2,
                                    "rm -r gone && echo 2 > a/b/f && echo > "
                                    "a/new && touch keep/k && mkdir -p n/m && "
                                    "rm t && mkdir t && echo > t/in");
    image = make_layer(&d, image, 3,
                       "rm -r a/b && mkdir a/b && echo > a/b/g && ln -sf z "
                       "keep/l && chmod 600 s && echo > brief");
    image = make_layer(&d, image, 4, "rm brief; chmod 700 .");
    expect(&d, base, image,
           "C / d\nR /a/b/f f\nA /a/b/g f\nA /a/new f\nR /gone d\n"
           "R /gone/x d\nR /gone/x/y f\nC /keep/l l\nA /n d\nA /n/m d\n"
           "C /s f\nC /t d\nA /t/in f\n");
    expect(&d, image, base,
           "C / d\nA /a/b/f f\nR /a/b/g f\nR /a/new f\nA /gone d\n"
           "A /gone/x d\nA /gone/x/y f\nC /keep/l l\nR /n d\nR /n/m d\n"
           "C /s f\nC /t f\nR /t/in f\n");
    temp_dir_remove(&d);
}

/* ---- compared with a full comparison ---- */

/* Write all about an image to a file, a line for each path. */
static void describe(const struct temp_dir *d, struct chain c,
                     const char *name) {
    struct fault f = {0};
    struct item i;
    char path[100];
    snprintf(path, sizeof path, "%s/%s", d->path, name);
    FILE *out = fopen(path, "w");
    struct view *v = open_view(d, c);
    struct walk *w = walk_begin(v, "/", &f);
    while (walk_next(w, &i, &f) == 1) {
        char content[64] = "";
        int fd = S_ISREG(i.st.st_mode) ? walk_open(w, &f) : -1;
        if (fd >= 0 && read_all(fd, content, sizeof content - 1) < 0)
            CHECK(false);
        if (fd >= 0)
            close(fd);
        fprintf(out, "/%s %o,%u,%u,%s,%s\n", i.path, i.st.st_mode, i.st.st_uid,
                i.st.st_gid, i.target, content);
    }
    walk_end(w);
    view_close(v);
    fclose(out);
}

static bool same_as_everything(const struct temp_dir *d, struct chain base,
                               struct chain image) {
    bool truncated;
    char path[100];
    char *text = diff(d, base, image, 1000, &truncated);
    describe(d, base, "base");
    describe(d, image, "image");
    snprintf(path, sizeof path, "%s/ours", d->path);
    FILE *out = fopen(path, "w");
    fputs(text, out);
    fclose(out);
    free(text);
    return shell("cd %s && awk 'FILENAME == \"base\" {b[$1] = $2; next} "
                 "!($1 in b) {print \"A\", $1} "
                 "$1 in b && b[$1] != $2 {print \"C\", $1} {i[$1]} "
                 "END {for (p in b) if (!(p in i)) print \"R\", p}' base image "
                 "| sort > theirs; cut -d' ' -f1,2 ours | sort | diff - theirs",
                 d->path);
}

/* Make one random change, up to three levels deep. It may fail. */
static void change(int dir, unsigned *seed) {
    char path[32] = "", other[32] = "", text[2] = {0};
    for (int i = 0, depth = 1 + rand_r(seed) % 3; i < depth; i++) {
        snprintf(path + strlen(path), 8, "%s%c", i ? "/" : "",
                 'a' + rand_r(seed) % 4);
        snprintf(other + strlen(other), 8, "%s%c", i ? "/" : "",
                 'a' + rand_r(seed) % 4);
    }
    int done = 0, fd;
    text[0] = (char)('0' + rand_r(seed) % 2);
    switch (rand_r(seed) % 8) {
    case 0:
    case 1:
        done = mkdirat(dir, path, 0755);
        break;
    case 2:
    case 3:
        fd = openat(dir, path, O_CREAT | O_WRONLY | O_NOFOLLOW | O_NONBLOCK,
                    0644);
        done = write(fd, text, 1) == 1;
        close(fd);
        break;
    case 4:
    case 5:
        done = tree_delete_at(dir, path);
        break;
    case 6:
        done = symlinkat(other, dir, path);
        break;
    default:
        done = fchmodat(dir, other, (mode_t)(0700 + rand_r(seed) % 2), 0);
    }
    (void)done;
}

static struct chain random_layer(const struct temp_dir *d, struct chain below,
                                 int64_t id, unsigned *seed) {
    mount_on(d, below, id);
    int fd = openat(d->fd, "m", O_RDONLY | O_DIRECTORY);
    for (int i = 0; i < 30; i++)
        change(fd, seed);
    close(fd);
    CHECK(shell("umount %s/m", d->path));
    return on_top(below, id);
}

static void at_random(void) {
    unsigned seed = 11;
    for (int round = 0; round < 8; round++) {
        struct temp_dir d = make_data();
        struct chain trunk = {0};
        int64_t id = 1;
        for (int i = 0; i < round % 4; i++)
            trunk = random_layer(&d, trunk, id++, &seed);
        struct chain base = trunk, image = trunk;
        for (int i = 0; i < 2; i++)
            base = random_layer(&d, base, id++, &seed);
        for (int i = 0; i < 3; i++)
            image = random_layer(&d, image, id++, &seed);
        CHECK(same_as_everything(&d, base, image));
        CHECK(same_as_everything(&d, image, base));
        CHECK(same_as_everything(&d, trunk, image));
        CHECK(same_as_everything(&d, image, trunk));
        temp_dir_remove(&d);
    }
}

static void ends(void) {
    struct temp_dir d = make_data();
    struct chain none = {0};
    struct chain image =
        make_layer(&d, none, 1, "for i in 1 2 3 4 5 6; do echo > $i; done");
    bool truncated;
    char *text = diff(&d, none, image, 2, &truncated);
    CHECK_STRING(text, "A /1 f\nA /2 f\n");
    CHECK(truncated);
    free(text);
    text = diff(&d, none, image, 6, &truncated);
    CHECK(!truncated);
    free(text);
    /* The tree is too deep for a recursive function. */
    image = make_layer(&d, image, 2,
                       "p=; for i in $(seq 1900); do p=$p/d; done; "
                       "mkdir -p ./$p");
    text = diff(&d, none, image, 100000, &truncated);
    int lines = 0;
    for (const char *p = text; (p = strchr(p, '\n')); p++)
        lines++;
    CHECK_NUMBER(lines, 1906);
    free(text);
    temp_dir_remove(&d);
}

/* Layers that both images share are not read. */
static void shared_is_not_read(void) {
    struct temp_dir d = make_data();
    struct chain none = {0};
    struct chain base = make_layer(&d, none, 1, "mkdir -p a/b c && echo > c/f");
    struct chain image = make_layer(&d, base, 2, "echo > c/g");
    CHECK(shell("cd %s/l/1 && rm -r a && echo > a", d.path));
    expect(&d, base, image, "A /c/g f\n");
    temp_dir_remove(&d);
}

int main(void) {
    RUN(by_hand,
        "added, changed and removed, whiteouts and opaque directories");
    RUN(at_random, "the same as comparing everything, on random layers");
    RUN(ends, "a limit ends it, depth does not");
    RUN(shared_is_not_read, "nothing is read of what both share");
    return CHECK_DONE();
}
