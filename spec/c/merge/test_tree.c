/* test_tree.c: trees merge as git merges them, and what git does not know of
 * (owners, attributes, empty directories) merges like it. */
#define _GNU_SOURCE
#include "check.h"
#include "merge/tree.h"
#include "seed.h"
#include "temp_dir.h"
#include "view/view.h"
#include <errno.h>
#include <stdlib.h>

static const struct id_range plain = {0, 65536};

/* Layers 1 (base), 2 (ours on it), 3 (theirs on it), 4 (the result on ours). */
enum { BASE = 1, OURS, THEIRS, RESULT };

static struct temp_dir make_data(void) {
    struct temp_dir d = temp_dir_make();
    CHECK(shell("mkdir -p %s/l/0/etc %s/m %s/w", d.path, d.path, d.path));
    return d;
}

/* Run a command in a mount of the layers, of which the first is written to. */
static bool in_mount(const struct temp_dir *d, int top, const char *below,
                     const char *command) {
    return shell("cd %s && mkdir -p l/%d w/%d && mount -t overlay overlay -o "
                 "lowerdir=%sl/0,upperdir=l/%d,workdir=w/%d,userxattr m && "
                 "{ (cd m && %s); s=$?; umount m; exit $s; }",
                 d->path, top, top, below, top, top, command);
}

static bool in_result(const struct temp_dir *d, const char *command) {
    return in_mount(d, 5, "l/4:l/2:l/1:", command);
}

static struct view *open_view(const struct temp_dir *d, int64_t top) {
    const int64_t ids[] = {top, BASE};
    struct fault f = {0};
    struct view *v = view_open(d->fd, top == BASE ? ids + 1 : ids,
                               top == BASE ? 1 : 2, plain, &f);
    if (!v)
        printf("# view_open: %s\n", f.message);
    return v;
}

static int look(void *arg, const char *path, struct upper_like *out,
                struct fault *f) {
    return merge_look(arg, path, out, f);
}

/* Merge into layer 4. Returns the conflicts, a line each; the caller frees
 * them. */
static char *merge(const struct temp_dir *d, enum merge_prefer prefer) {
    struct fault f = {0};
    struct merge_conflicts conflicts;
    const struct workspace w = {.number = 9, .upper = "w/9/u"};
    struct tree_merge t = {.dir_fd = d->fd,
                           .base = open_view(d, BASE),
                           .ours = open_view(d, OURS),
                           .theirs = open_view(d, THEIRS),
                           .prefer = prefer,
                           .conflicts = &conflicts};
    struct upper u = {
        .dir_fd = d->fd, .ids = plain, .look = look, .arg = &t, .f = &f};
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    t.upper = &u;
    conflicts_init(&conflicts);
    CHECK(shell("cd %s && rm -rf w/9 l/4 l/5 w/5 && mkdir -p w/9/u", d->path));
    if (upper_open(&u, &w) < 0 || merge_trees(&t, &f) < 0)
        fprintf(out, "%d %s\n", f.status, f.message);
    for (struct merge_conflict *c = conflicts.first; c; c = c->next)
        fprintf(out, "%s /%s %s%s%s\n", c->kind, c->path,
                c->base.st.st_mode ? "b" : "", c->ours.st.st_mode ? "o" : "",
                c->theirs.st.st_mode ? "t" : "");
    upper_close(&u);
    conflicts_free(&conflicts);
    view_close(t.base);
    view_close(t.ours);
    view_close(t.theirs);
    fclose(out);
    CHECK(shell("cd %s && mv w/9/u l/4", d->path));
    return text;
}

static struct temp_dir make(const char *base, const char *ours,
                            const char *theirs) {
    struct temp_dir d = make_data();
    CHECK(in_mount(&d, BASE, "", base));
    CHECK(in_mount(&d, OURS, "l/1:", ours));
    CHECK(in_mount(&d, THEIRS, "l/1:", theirs));
    return d;
}

/* The merge has these conflicts, and `test` is true in the result. */
static void expect(const char *base, const char *ours, const char *theirs,
                   enum merge_prefer prefer, const char *conflicts,
                   const char *test) {
    struct temp_dir d = make(base, ours, theirs);
    char *text = merge(&d, prefer);
    CHECK_STRING(text, conflicts);
    bool good = in_result(&d, test);
    CHECK(good);
    if (!good || strcmp(text, conflicts) != 0)
        printf("# base: %s; ours: %s; theirs: %s; test: %s\n", base, ours,
               theirs, test);
    free(text);
    temp_dir_remove(&d);
}

static void clean(const char *base, const char *ours, const char *theirs,
                  const char *test) {
    expect(base, ours, theirs, MERGE_NEITHER, "", test);
}

/* A conflict, and what either preference makes of it. */
static void conflicting(const char *base, const char *ours, const char *theirs,
                        const char *conflicts, const char *if_ours,
                        const char *if_theirs) {
    expect(base, ours, theirs, MERGE_NEITHER, conflicts, "true");
    expect(base, ours, theirs, MERGE_OURS, conflicts, if_ours);
    expect(base, ours, theirs, MERGE_THEIRS, conflicts, if_theirs);
}

static void both_changed(void) {
    clean("printf '1\\n2\\n3\\n4\\n' > f", "sed -i s/1/one/ f",
          "sed -i s/4/four/ f && chmod 755 f",
          "[ \"$(cat f)\" = \"$(printf 'one\\n2\\n3\\nfour')\" ] && [ -x f ]");
    clean("echo 1 > a; echo 1 > b", "echo 2 > a", "echo 2 > b",
          "[ $(cat a b | tr -d '\\n') = 22 ]");
    clean("echo 1 > a", "echo 2 > a", "echo 2 > a", "[ $(cat a) = 2 ]");
    clean("true", "echo x > n", "echo x > n", "[ $(cat n) = x ]");
    clean("ln -s a l", "true", "ln -sf b l", "[ $(readlink l) = b ]");
    clean("echo 1 > a", "rm a", "rm a", "[ ! -e a ]");
    clean("echo 1 > a", "chmod 600 a", "chown 7:8 a",
          "[ \"$(stat -c '%a %u %g' a)\" = '600 7 8' ]");
    clean("mkdir d", "chmod 700 d", "chown 7 d; touch d/f",
          "[ \"$(stat -c '%a %u' d)\" = '700 7' ] && [ -e d/f ]");
    clean("chmod 755 .", "touch a", "chmod 711 .",
          "[ $(stat -c %a ../l/4) = 711 ] && [ -e a ]");
    conflicting("echo 1 > a", "echo 2 > a", "echo 3 > a", "content /a bot\n",
                "[ $(cat a) = 2 ]", "[ $(cat a) = 3 ]");
    conflicting("true", "echo 2 > a", "echo 3 > a", "content /a ot\n",
                "[ $(cat a) = 2 ]", "[ $(cat a) = 3 ]");
    conflicting("printf 'a\\0' > a", "printf 'b\\0' > a", "printf 'c\\0' > a",
                "binary /a bot\n", "grep -q b a", "grep -q c a");
    conflicting("ln -s a l", "ln -sf b l", "ln -sf c l", "target /l bot\n",
                "[ $(readlink l) = b ]", "[ $(readlink l) = c ]");
    conflicting("echo > a", "chmod 600 a", "chmod 755 a", "mode /a bot\n",
                "[ $(stat -c %a a) = 600 ]", "[ $(stat -c %a a) = 755 ]");
    conflicting("mkdir d", "chown 1 d", "chown 2 d; touch d/f",
                "owner /d bot\n", "[ $(stat -c %u d) = 1 ] && [ -e d/f ]",
                "[ $(stat -c %u d) = 2 ] && [ -e d/f ]");
}

static void removals(void) {
    clean("mkdir -p d/e && touch d/e/f d/g", "touch x", "rm -r d",
          "[ -e x ] && [ ! -e d ]");
    clean("mkdir -p d/e && touch d/e/f d/g", "rm -r d/e", "rm -r d",
          "[ ! -e d ]");
    /* What is new in a directory keeps it. */
    clean("mkdir -p d/e && touch d/e/f d/g", "touch d/e/new", "rm -r d",
          "[ $(find d | wc -l) = 3 ] && [ -e d/e/new ]");
    clean("mkdir -p d/e && touch d/e/f d/g", "rm -r d", "touch d/e/new",
          "[ $(find d | wc -l) = 3 ] && [ -e d/e/new ]");
    clean("mkdir d && touch d/f", "rm -r d && echo file > d", "rm -r d",
          "[ $(cat d) = file ]");
    conflicting("echo 1 > a", "echo 2 > a", "rm a", "removed /a bo\n",
                "[ $(cat a) = 2 ]", "[ ! -e a ]");
    conflicting("echo 1 > a", "rm a", "echo 2 > a", "removed /a bt\n",
                "[ ! -e a ]", "[ $(cat a) = 2 ]");
    conflicting("mkdir d && echo 1 > d/a && echo 1 > d/b", "echo 2 > d/a",
                "rm -r d", "removed /d/a bo\n",
                "[ $(cat d/a) = 2 ] && [ ! -e d/b ]", "[ ! -e d ]");
    conflicting("mkdir d && chmod 711 d && echo 1 > d/a && echo 1 > d/b",
                "rm -r d", "echo 2 > d/a", "removed /d/a bt\n", "[ ! -e d ]",
                "[ $(cat d/a) = 2 ] && [ ! -e d/b ] && "
                "[ $(stat -c %a d) = 711 ]");
    /* A removal that is preferred takes the directories that only conflicts
     * keep. All of these are told, and what follows is merged. */
    conflicting("mkdir -p d/e && echo 1 > d/e/a && echo 1 > d/z && echo 1 > x",
                "echo 2 > d/e/a; echo 2 > d/z; chmod 700 d",
                "rm -r d; echo 3 > x", "removed /d/e/a bo\nremoved /d/z bo\n",
                "[ $(cat d/e/a d/z x | tr -d '\n') = 223 ]",
                "[ ! -e d ] && [ $(cat x) = 3 ]");
    conflicting("mkdir -p d/e && echo 1 > d/e/a && echo 1 > x",
                "rm -r d; echo 3 > x", "echo 2 > d/e/a; chmod 700 d",
                "removed /d/e/a bt\n", "[ ! -e d ] && [ $(cat x) = 3 ]",
                "[ $(cat d/e/a x | tr -d '\n') = 23 ]");
    /* One that has something new as well stays with that. */
    conflicting("mkdir -p d/e d/k && echo 1 > d/e/a && echo 1 > d/k/a",
                "echo 2 > d/e/a; echo 2 > d/k/a; touch d/k/new", "rm -r d",
                "removed /d/e/a bo\nremoved /d/k/a bo\n",
                "[ $(cat d/e/a d/k/a | tr -d '\n') = 22 ] && [ -e d/k/new ]",
                "[ \"$(find d | sort | tr '\\n' ' ')\" = 'd d/k d/k/new ' ]");
    conflicting("mkdir -p d/e d/k && echo 1 > d/e/a && echo 1 > d/k/a",
                "rm -r d", "echo 2 > d/e/a; echo 2 > d/k/a; touch d/k/new",
                "removed /d/e/a bt\nremoved /d/k/a bt\n",
                "[ \"$(find d | sort | tr '\\n' ' ')\" = 'd d/k d/k/new ' ]",
                "[ $(cat d/e/a d/k/a | tr -d '\n') = 22 ] && [ -e d/k/new ]");
}

static void types(void) {
    clean("echo 1 > a", "touch x", "rm a && mkdir a && touch a/f",
          "[ -e a/f ] && [ -e x ]");
    clean("mkdir -p a/b && touch a/b/f", "touch x", "rm -r a && echo 1 > a",
          "[ $(cat a) = 1 ] && [ -e x ]");
    clean("mkdir -p a/b && touch a/b/f", "rm -r a/b", "rm -r a && echo 1 > a",
          "[ $(cat a) = 1 ]");
    clean("echo 1 > a", "rm a", "rm a && mkdir a && touch a/f", "[ -e a/f ]");
    clean("echo 1 > a", "rm a; mkdir a; touch a/f", "rm a; mkdir a; touch a/g",
          "[ -e a/f ] && [ -e a/g ]");
    clean("echo 1 > a", "true", "ln -sf b a", "[ $(readlink a) = b ]");
    clean("ln -s b a", "true", "rm a; echo 1 > a", "[ $(cat a) = 1 ]");
    conflicting("echo 1 > a", "echo 2 > a", "rm a; mkdir a; touch a/f a/g",
                "type /a bot\n", "[ $(cat a) = 2 ]", "[ -e a/f ]");
    conflicting("echo 1 > a", "rm a; mkdir a; touch a/f", "echo 2 > a",
                "type /a bot\n", "[ -e a/f ]", "[ $(cat a) = 2 ]");
    conflicting("true", "echo 2 > a", "mkdir -p a/d; touch a/d/f a/g",
                "type /a ot\n", "[ $(cat a) = 2 ]", "[ -e a/d/f ]");
    conflicting("true", "mkdir a; touch a/f", "echo 2 > a", "type /a ot\n",
                "[ -e a/f ]", "[ $(cat a) = 2 ]");
    conflicting("mkdir a; touch a/f", "touch a/new", "rm -r a; echo 2 > a",
                "type /a bot\n", "[ -e a/new ]", "[ $(cat a) = 2 ]");
    conflicting("mkdir -p a/d; touch a/d/f", "rm -r a; echo 2 > a",
                "touch a/d/new; echo 3 > a/d/f", "type /a bot\n",
                "[ $(cat a) = 2 ]", "[ $(cat a/d/f) = 3 ] && [ -e a/d/new ]");
    conflicting("ln -s b a", "ln -sf c a", "rm a; echo 2 > a", "type /a bot\n",
                "[ $(readlink a) = c ]", "[ $(cat a) = 2 ]");
}

/* Sets an attribute, or looks whether it has this value. */
#define SET(path, value)                                                       \
    "touch " path "; python3 -c 'import os; os.setxattr(\"" path               \
    "\", \"user.k\", b\"" value "\")'"
#define HAS(path, value)                                                       \
    "python3 -c 'import os; assert os.getxattr(\"" path                        \
    "\", \"user.k\") == b\"" value "\"'"

static void beyond_git(void) {
    clean("mkdir d", "mkdir d/empty", "mkdir other",
          "[ -d d/empty ] && [ -d other ]");
    clean("touch a", "echo x > a", SET("a", "1"),
          "[ $(cat a) = x ] && " HAS("a", "1"));
    clean("mkdir d", "chmod 700 d", SET("d", "1"),
          "[ $(stat -c %a d) = 700 ] && " HAS("d", "1"));
    clean(SET("a", "1"), SET("a", "1") "; echo y > a", SET("a", "2"),
          "[ $(cat a) = y ] && " HAS("a", "2"));
    conflicting("touch a", SET("a", "2"), SET("a", "1"), "attributes /a bot\n",
                HAS("a", "2"), HAS("a", "1"));
    clean("true", "true", "mkdir d; echo x > a; ln a b; ln a d/c",
          "[ $(stat -c %h a) = 3 ] && [ $(stat -c %i d/c) = $(stat -c %i b) ]");
    clean("true", "touch x", "mkfifo -m 640 p; touch -h -d @5 p",
          "[ -p p ] && [ \"$(stat -c '%a %Y' p)\" = '640 5' ]");
    clean(
        "true", "true", "truncate -s 1G hole; echo x >> hole",
        "[ $(stat -c %s hole) = 1073741826 ] && [ $(stat -c %b hole) -lt 99 ]");
    clean("mkdir d; touch -d @7 d d/f", "touch x", "touch -d @9 d/g",
          "[ $(stat -c %Y d/f) = 7 ] && [ $(stat -c %Y d/g) = 9 ]");
}

/* ---- hostile ---- */

static void hostile(void) {
    /* Links above, in either side, lead nowhere but to a conflict. */
    struct temp_dir d = make("mkdir d; touch d/f", "rm -r d; ln -s /tmp d",
                             "echo planted > d/h7-planted");
    char *text = merge(&d, MERGE_THEIRS);
    CHECK_STRING(text, "type /d bot\n");
    CHECK(access("/tmp/h7-planted", F_OK) < 0);
    CHECK(in_result(&d, "[ -d d ] && [ ! -L d ] && [ -e d/h7-planted ]"));
    free(text);
    temp_dir_remove(&d);
    clean("true", "mkdir -p e; ln -s ../../../../../../tmp e/up",
          "mkdir -p e; ln -s ../../../../.. e/root; touch e/x",
          "[ -L e/up ] && [ -L e/root ] && [ -e e/x ]");
    /* A device that is a mark of overlay's cannot be made in a mount. */
    clean("true", "true",
          "n=$(printf %0255d 0); mkdir -p $n/$n/$n/$n; touch $n/$n/$n/$n/f",
          "[ $(find . -type f | wc -l) = 1 ]");
    clean("true", "true",
          "i=0; while [ $i -lt 150 ]; do mkdir d && cd d; i=$((i+1)); done; "
          "touch f",
          "[ $(find . -type f | wc -l) = 1 ]");
    clean("true", "touch -- '-rf' '*'", "touch 'a\nb' \"$(printf '\\377')\"",
          "[ $(find . -type f -print0 | tr -dc '\\0' | wc -c) = 4 ]");
}

static void stops(void) {
    struct temp_dir d = make("true", "true", "touch a b c");
    atomic_bool cancelled = true;
    struct merge_conflicts conflicts;
    struct fault f = {0};
    struct upper u = {.dir_fd = d.fd, .ids = plain, .look = look, .f = &f};
    const struct workspace w = {.number = 9, .upper = "w/9/u"};
    struct tree_merge t = {.dir_fd = d.fd,
                           .base = open_view(&d, BASE),
                           .ours = open_view(&d, OURS),
                           .theirs = open_view(&d, THEIRS),
                           .deadline = {0, &cancelled},
                           .upper = &u,
                           .conflicts = &conflicts};
    u.arg = &t;
    conflicts_init(&conflicts);
    CHECK(shell("cd %s && mkdir -p w/9/u", d.path));
    CHECK_NUMBER(upper_open(&u, &w), 0);
    CHECK_NUMBER(merge_trees(&t, &f), -1);
    CHECK_NUMBER(f.status, 409);
    cancelled = false;
    t.deadline.at = 1; /* long ago */
    CHECK_NUMBER(merge_trees(&t, &f), -1);
    CHECK_NUMBER(f.status, 408);
    upper_close(&u);
    view_close(t.base);
    view_close(t.ours);
    view_close(t.theirs);
    temp_dir_remove(&d);
}

/* ---- as git ---- */

/* A shell command that changes a tree of a few names at random, so that both
 * sides meet often. */
static void add_change(FILE *out) {
    static const char *const names[] = {"a", "b", "c", "d"};
    char path[32];
    int depth = 1 + seed_below(3), n = 0;
    for (int i = 0; i < depth; i++)
        n += sprintf(path + n, "%s%s", i ? "/" : "", names[seed_below(4)]);
    /* Each line and target has its path: nothing looks like renamed. */
    switch (seed_below(10)) {
    case 0:
    case 1:
    case 2:
        fprintf(out,
                "mkdir -p $(dirname %s); [ -d %s ] || [ -L %s ] || "
                "seq -f '%s %%g' %d %d > %s; ",
                path, path, path, path, 10 * seed_below(3), 40 + seed_below(2),
                path);
        break;
    case 3:
    case 4:
    case 5:
    case 6: /* lines of their own, so that there is one shortest script */
        fprintf(out, "[ ! -f %s ] || [ -L %s ] || sed -i '%ds/.*/x%d/' %s; ",
                path, path, 1 + seed_below(20), seed_below(100000), path);
        break;
    case 7:
        fprintf(out, "rm -rf %s; ", path);
        break;
    case 8:
        fprintf(out, "[ ! -f %s ] || [ -L %s ] || chmod %s %s; ", path, path,
                seed_below(2) ? "755" : "644", path);
        break;
    default:
        fprintf(out, "mkdir -p $(dirname %s); [ -d %s ] || ln -sfn t%d-%s %s; ",
                path, path, seed_below(3), path, path);
    }
}

static char *random_changes(int most) {
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    fprintf(out, "exec 2>/dev/null; ");
    for (int n = 1 + seed_below(most); n > 0; n--)
        add_change(out);
    /* Git knows no empty directories. */
    fprintf(out, "find . -mindepth 1 -type d -empty -delete; true");
    fclose(out);
    return text;
}

/* A tree as git stores it. */
#define GIT "GIT_DIR=../git GIT_INDEX_FILE=../index GIT_WORK_TREE=. git "
#define COMMIT                                                                 \
    "rm -f ../index; " GIT "add -A && " GIT "commit-tree $(" GIT               \
    "write-tree) -m x "

static bool commit(const struct temp_dir *d, int top, const char *below,
                   const char *change, const char *parent, const char *name) {
    char command[3000];
    snprintf(command, sizeof command, "(%s); %s %s > ../%s", change, COMMIT,
             parent, name);
    return in_mount(d, top, below, command);
}

/* Whether git merges them. The tree is in the file "want". */
static bool ask_git(const struct temp_dir *d) {
    return shell("cd %s && GIT_DIR=git git merge-tree "
                 "--write-tree $(cat ours) $(cat theirs) > out 2>&1 && "
                 "head -1 out > want",
                 d->path);
}

static bool same_tree(const struct temp_dir *d) {
    return in_result(d, "rm -f ../index; " GIT "add -A && " GIT
                        "write-tree > ../got && cmp ../got ../want");
}

static bool try_one(int *merged) {
    struct temp_dir d = make_data();
    char *base = random_changes(14), *ours = random_changes(8);
    char *theirs = random_changes(8);
    CHECK(shell("cd %s && git init -q --bare git && git -C git config "
                "user.name x && git -C git config user.email x@example.com "
                "&& git -C git config core.bare false",
                d.path));
    CHECK(commit(&d, BASE, "", base, "", "base"));
    CHECK(commit(&d, OURS, "l/1:", ours, "-p $(cat ../base)", "ours"));
    CHECK(commit(&d, THEIRS, "l/1:", theirs, "-p $(cat ../base)", "theirs"));
    bool git = ask_git(&d);
    char *conflicts = merge(&d, MERGE_NEITHER);
    bool good = git == !*conflicts && (!git || same_tree(&d));
    *merged += git;
    if (!good) {
        printf("# git %s, we: %s\n# base: %s\n# ours: %s\n# theirs: %s\n",
               git ? "merges" : "has a conflict", conflicts, base, ours,
               theirs);
        shell("cat %s/out | head -20 | sed 's/^/# /'", d.path);
    }
    free(conflicts);
    free(base);
    free(ours);
    free(theirs);
    temp_dir_remove(&d);
    return good;
}

static void as_git(void) {
    int merged = 0, all = seed_count(40);
    bool good = true;
    for (int i = 0; i < all && good; i++)
        good = try_one(&merged);
    CHECK(good);
    printf("# %d of %d without conflict\n", merged, all);
    CHECK(merged > 0);
}

int main(void) {
    seed_begin();
    RUN(both_changed, "files that one or both changed");
    RUN(removals, "what one side removed");
    RUN(types, "files, links and directories against each other");
    RUN(beyond_git, "owners, attributes, links, holes, empty directories");
    RUN(hostile, "trees that want to lead astray");
    RUN(stops, "it stops when it is cancelled");
    RUN(as_git, "random trees merge as with git");
    return CHECK_DONE();
}
