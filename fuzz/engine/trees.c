/* trees.c: merged trees obey the laws of a merge: one side alone wins, sides
 * are alike, and a side that is preferred has its version at each conflict. The
 * input is entries of three layers, two bytes each: the first has the layer and
 * the kind, the second the path. */
#define _GNU_SOURCE
#include "../input.h"
#include "base/overlay.h"
#include "base/tree.h"
#include "merge/tree.h"
#include "view/view.h"
#include "view/walk.h"
#include <fcntl.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

/* Layers: ours and theirs stand on the base. */
enum { BASE = 1, OURS, THEIRS };
enum { ENTRIES = 48, PATHS = 39 };

static const struct id_range ids = {0, 65536};
static int site = -1; /* the data directory, which is made once */

/* ---- the layers ---- */

static const char *const texts[] = {
    "1\n2\n3\n4\n5\n6\n", "one\n2\n3\n4\n5\n6\n",  "1\n2\n3\n4\n5\nsix\n",
    "1\n2\n3\n4\n5\n",    "1\n2\n3\n4\n5\nSix\n6", ""};

/* Names of three letters, at most three deep. */
static void path_of(unsigned number, char path[8]) {
    static const char letters[] = "abc";
    number %= PATHS;
    *path = '\0';
    for (int depth = 0; depth == 0 || number > 0; depth++) {
        snprintf(path + strlen(path), 4, "%s%c", depth ? "/" : "",
                 letters[number % 3]);
        number /= 3;
        if (depth == 2)
            return;
    }
}

/* Directories above an entry that a layer lacks are like any other. */
static void make_above(int layer, char *path) {
    for (char *slash = path; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        mkdirat(layer, path, 0755);
        *slash = '/';
    }
}

static int make_file(int layer, const char *path, const char *text,
                     size_t length) {
    int fd = openat(layer, path, O_WRONLY | O_CREAT | O_EXCL, 0644);
    if (fd < 0)
        return -1;
    HOLDS(write(fd, text, length) == (ssize_t)length);
    return close(fd);
}

static int set_attribute(int layer, const char *path, const char *name,
                         const char *value) {
    int fd = openat(layer, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return -1;
    fsetxattr(fd, name, value, strlen(value), 0);
    return close(fd);
}

/* -1: it cannot be made, as when something else is there. */
static int make_entry(int layer, unsigned kind, unsigned number) {
    char path[8];
    path_of(number, path);
    make_above(layer, path);
    switch (kind) {
    case 0:
        return mkdirat(layer, path, 0755);
    case 1: /* hides what is below */
        mkdirat(layer, path, 0755);
        return set_attribute(layer, path, "user.overlay.opaque", "y");
    case 2:
    case 3: /* a whiteout */
        return mknodat(layer, path, S_IFCHR | 0600, makedev(0, 0));
    case 4:
        return symlinkat(number & 64 ? "a" : "../b", layer, path);
    case 5:
        return fchmodat(layer, path, number & 64 ? 0700 : 04711, 0);
    case 6:
        return set_attribute(layer, path, "user.x", number & 64 ? "1" : "2");
    case 7: /* only root may */
        return fchownat(layer, path, 1 + number / 64, 1, AT_SYMLINK_NOFOLLOW);
    case 8: /* no text */
        return make_file(layer, path, "\0\1", 1 + number / 64 % 2);
    case 9:
        return linkat(layer, "a", layer, path, 0);
    case 10:
        return mknodat(layer, path, S_IFIFO | 0644, 0);
    }
    kind %= sizeof texts / sizeof *texts;
    return make_file(layer, path, texts[kind], strlen(texts[kind]));
}

static void make_layers(struct input *in) {
    int layers[THEIRS + 1];
    for (int i = BASE; i <= THEIRS; i++) {
        char path[32];
        layer_path(i, path);
        HOLDS(tree_delete_at(site, path) == 0 &&
              mkdirat(site, path, 0755) == 0);
        layers[i] = openat(site, path, O_RDONLY | O_DIRECTORY);
        HOLDS(layers[i] >= 0);
    }
    for (int n = 0; in->left > 0 && n < ENTRIES; n++) {
        uint8_t what = input_byte(in);
        make_entry(layers[BASE + what % 3], what / 3 % 18, input_byte(in));
    }
    for (int i = BASE; i <= THEIRS; i++)
        close(layers[i]);
}

static void make_site(void) {
    const char *top = fuzz_directory("trees");
    site = open(top, O_RDONLY | O_DIRECTORY);
    HOLDS(site >= 0 && mkdirat(site, "l", 0755) == 0 &&
          mkdirat(site, "w", 0755) == 0 && mkdirat(site, "l/0", 0755) == 0);
    umask(0);
}

/* ---- merges ---- */

/* The image with the base and these layers above it, which may be missing: 0
 * for `top`, BASE for `middle`. */
static struct view *open_image(int64_t top, int64_t middle) {
    int64_t layers[3], *end = layers;
    struct fault f;
    if (top)
        *end++ = top;
    if (middle != BASE)
        *end++ = middle;
    *end++ = BASE;
    struct view *v = view_open(site, layers, (size_t)(end - layers), ids, &f);
    HOLDS(v);
    return v;
}

static int look(void *arg, const char *path, struct upper_like *out,
                struct fault *f) {
    return merge_look(arg, path, out, f);
}

struct merged {
    struct merge_conflicts conflicts;
    int64_t made;
    struct view *view; /* NULL: there are conflicts, and none is preferred */
};

/* Merges as workspace `number`. */
static struct merged merge(int64_t number, int64_t ours, int64_t theirs,
                           enum merge_prefer prefer) {
    struct fault f = {0};
    struct merged m = {.made = 0};
    struct workspace w = {.number = number};
    struct tree_merge t = {.dir_fd = site,
                           .base = open_image(0, BASE),
                           .ours = open_image(0, ours),
                           .theirs = open_image(0, theirs),
                           .prefer = prefer,
                           .conflicts = &m.conflicts};
    struct upper u = {
        .dir_fd = site, .ids = ids, .look = look, .arg = &t, .f = &f};
    char top[32];
    snprintf(top, sizeof top, "w/%d", (int)number);
    snprintf(w.upper, sizeof w.upper, "w/%d/u", (int)number);
    HOLDS(tree_delete_at(site, top) == 0 && mkdirat(site, top, 0755) == 0 &&
          mkdirat(site, w.upper, 0755) == 0);
    conflicts_init(&m.conflicts);
    t.upper = &u;
    HOLDS(upper_open(&u, &w) == 0 && merge_trees(&t, &f) == 0);
    m.made = u.made;
    upper_close(&u);
    view_close(t.base);
    view_close(t.ours);
    view_close(t.theirs);
    if (prefer != MERGE_NEITHER || m.conflicts.count == 0)
        m.view = open_image(-number, ours);
    return m;
}

static void merged_clear(struct merged *m) {
    view_close(m->view);
    conflicts_free(&m->conflicts);
}

/* ---- laws ---- */

static bool is_same(const struct item *a, const struct item *b) {
    const struct placed x = {a->st, a->layer}, y = {b->st, b->layer};
    const struct deadline never = {0};
    struct fault f;
    return a->st.st_mode == b->st.st_mode && a->st.st_uid == b->st.st_uid &&
           a->st.st_gid == b->st.st_gid && strcmp(a->path, b->path) == 0 &&
           placed_same_content(site, a->path, &x, &y, &never, &f) == 1 &&
           placed_same_attributes(site, a->path, &x, &y, &f) == 1;
}

/* Whether there is one more. */
static bool next(struct walk *w, struct item *out) {
    struct fault f;
    int more = walk_next(w, out, &f);
    HOLDS(more >= 0);
    return more == 1;
}

/* Times do not count. */
static void must_be_same(struct view *a, struct view *b) {
    struct fault f;
    struct item x, y;
    struct walk *v = walk_begin(a, "/", &f), *w = walk_begin(b, "/", &f);
    HOLDS(v && w);
    for (bool more = true; more;) {
        more = next(v, &x);
        HOLDS(next(w, &y) == more);
        HOLDS(!more || is_same(&x, &y));
    }
    walk_end(v);
    walk_end(w);
}

/* Merging with `theirs` gives `want`, without a conflict. */
static void must_become(int64_t ours, int64_t theirs, int64_t want) {
    struct merged m = merge(1, ours, theirs, MERGE_NEITHER);
    struct view *wanted = open_image(0, want);
    HOLDS(m.conflicts.count == 0 && m.view);
    HOLDS(want != ours || m.made == 0);
    must_be_same(m.view, wanted);
    view_close(wanted);
    merged_clear(&m);
}

/* Both views have the same at a path, or nothing. */
static void must_agree(struct view *a, struct view *b, const char *path) {
    char absolute[INSPECT_PATH + 1];
    struct item x, y;
    struct fault f;
    snprintf(absolute, sizeof absolute, "/%s", path);
    int one = inspect_stat(a, absolute, false, &x, &f);
    bool is_there = one == 0 && strcmp(x.path, path) == 0;
    int other = inspect_stat(b, absolute, false, &y, &f);
    HOLDS(is_there == (other == 0 && strcmp(y.path, path) == 0));
    HOLDS(!is_there || is_same(&x, &y));
}

static bool same_version(const struct placed *a, const struct placed *b) {
    return a->st.st_mode == b->st.st_mode && a->st.st_ino == b->st.st_ino;
}

static const struct merge_conflict *
find_conflict(const struct merge_conflicts *list, const char *path) {
    const struct merge_conflict *c = list->first;
    while (c && strcmp(c->path, path) != 0)
        c = c->next;
    return c;
}

/* The conflicts of the other direction are the same ones, the other way. */
static void must_mirror(const struct merge_conflicts *a,
                        const struct merge_conflicts *b) {
    HOLDS(a->count == b->count);
    for (const struct merge_conflict *c = a->first; c; c = c->next) {
        const struct merge_conflict *d = find_conflict(b, c->path);
        HOLDS(d && strcmp(c->kind, d->kind) == 0);
        HOLDS(same_version(&c->base, &d->base) &&
              same_version(&c->ours, &d->theirs) &&
              same_version(&c->theirs, &d->ours));
    }
}

static void must_prefer(struct merged *m, int64_t side) {
    struct view *v = open_image(0, side);
    for (const struct merge_conflict *c = m->conflicts.first; c; c = c->next)
        must_agree(m->view, v, c->path);
    view_close(v);
}

static void check_sides(void) {
    struct merged one = merge(2, OURS, THEIRS, MERGE_NEITHER),
                  other = merge(3, THEIRS, OURS, MERGE_NEITHER);
    must_mirror(&one.conflicts, &other.conflicts);
    if (one.view)
        must_be_same(one.view, other.view);
    bool conflicting = !one.view;
    merged_clear(&one);
    merged_clear(&other);
    for (int theirs = 0; conflicting && theirs < 2; theirs++) {
        one = merge(2, OURS, THEIRS, theirs ? MERGE_THEIRS : MERGE_OURS);
        other = merge(3, THEIRS, OURS, theirs ? MERGE_OURS : MERGE_THEIRS);
        must_mirror(&one.conflicts, &other.conflicts);
        must_prefer(&one, theirs ? THEIRS : OURS);
        must_be_same(one.view, other.view);
        merged_clear(&one);
        merged_clear(&other);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input in = {data, size};
    if (site < 0)
        make_site();
    int before = open_descriptors();
    make_layers(&in);
    must_become(BASE, THEIRS, THEIRS);
    must_become(OURS, BASE, OURS);
    must_become(OURS, OURS, OURS);
    check_sides();
    HOLDS(open_descriptors() == before);
    return 0;
}
