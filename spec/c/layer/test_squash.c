/* test_squash.c: a squashed layer shows what its layers showed, and exists
 * whole or not at all. */
#define _GNU_SOURCE
#include "base/clock.h"
#include "env.h"
#include "layer/squash.h"
#include "view/archive.h"
#include "view/view.h"
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <sys/xattr.h>

/* Use memory if it can hold layers: syncing costs nothing there. */
static struct env make_env(void) {
    struct temp_dir d = temp_dir_small(1 << 20);
    if (!temp_dir_holds_layers(&d)) {
        temp_dir_remove(&d);
        d = temp_dir_make();
    }
    struct env e = make_env_in(d);
    CHECK(shell("mkdir %s/m", e.d.path));
    return e;
}

/* Write the chain of a layer as the mount option lowerdir. */
static size_t lower_dirs(struct env *e, int64_t layer, char out[4096]) {
    struct fault f = {0};
    int64_t *ids = NULL;
    size_t count = 0, used = 0;
    CHECK(layer == 0 || store_layer_chain(e->s, layer, &ids, &count, &f) == 0);
    for (size_t i = 0; i < count; i++)
        used += (size_t)snprintf(out + used, 4096 - used, "l/%d:", (int)ids[i]);
    snprintf(out + used, 4096 - used, "l/0");
    free(ids);
    return count;
}

/* Run a command in an overlay of the chain, and publish its changes. */
static int64_t make_layer(struct env *e, int64_t parent, const char *command) {
    char lower[4096];
    struct workspace w;
    struct fault f = {0};
    int64_t id = 0, *ids = NULL;
    size_t count = 0;
    lower_dirs(e, parent, lower);
    CHECK(parent == 0 ||
          store_layer_chain(e->s, parent, &ids, &count, &f) == 0);
    CHECK(workspace_take(e->l, &w, &f) == 0);
    CHECK(workspace_inherit_root(e->l, &w, count ? ids[0] : 0, &f) == 0);
    free(ids);
    CHECK(shell(
        "r=$PWD && cd %s && mount -t overlay overlay -o lowerdir=%s,"
        "upperdir=%s,workdir=%s,userxattr,volatile m && (export M=$PWD/m; "
        "cd $r && %s); r=$?; umount m && exit $r",
        e->d.path, lower, w.upper, w.work, command));
    CHECK(publish_layer(e, &w, parent, &id, NULL, &f) == 0);
    return id;
}

static int64_t change(struct env *e, int64_t parent, unsigned seed) {
    char line[100];
    snprintf(line, sizeof line, "python3 spec/support/tree.py change %u $M",
             seed);
    return make_layer(e, parent, line);
}

/* Write to the file `name` how the kernel shows a chain, and how the engine
 * itself reads it. */
static void show(struct env *e, int64_t layer, const char *name) {
    char lower[4096], path[100];
    int64_t *ids = NULL;
    size_t count = 0;
    struct fault f = {0};
    struct id_range range = {BASE, 65536};
    lower_dirs(e, layer, lower);
    CHECK(shell("r=$PWD && cd %s && mount -t overlay overlay -o ro,lowerdir=%s,"
                "userxattr m && python3 $r/spec/support/tree.py list m > %s; "
                "r=$?; umount m && exit $r",
                e->d.path, strchr(lower, ':') ? lower : "l/0:l/0", name));
    CHECK(store_layer_chain(e->s, layer, &ids, &count, &f) == 0);
    struct view *v = view_open(e->d.fd, ids, count, range, &f);
    snprintf(path, sizeof path, "%s/%s.tar", e->d.path, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECK(v && fd >= 0 && inspect_archive(v, "/", fd, NULL, &f) == 0);
    close(fd);
    view_close(v);
    free(ids);
}

static bool same(struct env *e, const char *a, const char *b) {
    return shell("cd %s && diff %s %s && cmp %s.tar %s.tar", e->d.path, a, b, a,
                 b);
}

static int squash(struct env *e, int64_t layer, size_t first, size_t count,
                  struct fault *f) {
    static const atomic_bool go_on;
    struct chain_layer *chain;
    size_t all;
    CHECK(store_layer_list(e->s, layer, &chain, &all, f) == 0);
    int result = squash_layers(e->l, chain, all,
                               (struct squash_range){first, count}, &go_on, f);
    free(chain);
    return result;
}

static void any_changes(void) {
    for (unsigned seed = 1; seed <= 3; seed++) {
        struct env e = make_env();
        struct fault f = {0};
        char lower[4096];
        int64_t top = 0, middle = 0;
        for (unsigned i = 0; i < 6; i++) {
            top = change(&e, top, seed * 100 + i);
            middle = i == 4 ? top : middle;
        }
        show(&e, top, "before");
        show(&e, middle, "middle");
        /* Squash in the middle, at the base, and what was squashed before. */
        CHECK_NUMBER(squash(&e, top, 1 + seed % 3, 3, &f), 0);
        show(&e, top, "after");
        show(&e, middle, "then");
        CHECK(same(&e, "before", "after") && same(&e, "middle", "then"));
        CHECK_NUMBER(lower_dirs(&e, top, lower), 4);
        CHECK_NUMBER(squash(&e, top, 0, 3, &f), 0);
        show(&e, top, "after");
        CHECK(same(&e, "before", "after"));
        CHECK_NUMBER(squash(&e, top, 0, 2, &f), 0);
        show(&e, top, "after");
        CHECK(same(&e, "before", "after"));
        CHECK_NUMBER(lower_dirs(&e, top, lower), 1);
        if (!check_ok) {
            printf("# seed %u: %s\n", seed, f.message);
            return;
        }
        end_env(&e);
    }
}

/* A later run can hide files of a squashed layer. */
static void goes_on(void) {
    struct env e = make_env();
    struct fault f = {0};
    int64_t a = make_layer(&e, 0,
                           "mkdir $M/d && echo 1 > $M/d/f && rmdir $M/tmp"),
            b = make_layer(&e, a,
                           "rm -r $M/d && mkdir $M/d && echo 2 > $M/d/g"),
            c = make_layer(&e, b, "echo 3 > $M/d/h && rm $M/d/g");
    CHECK_NUMBER(squash(&e, c, 0, 2, &f), 0);
    int64_t d = make_layer(&e, c,
                           "test $(ls $M/d) = h && test ! -e $M/tmp && "
                           "echo 4 > $M/d/f && mkdir $M/tmp");
    /* A branch from a layer that was squashed sees that layer as it was. */
    int64_t side = make_layer(&e, b, "test $(ls $M/d) = g && rm $M/d/g");
    CHECK_NUMBER(squash(&e, d, 0, 3, &f), 0);
    CHECK_NUMBER(squash(&e, side, 0, 3, &f), 0);
    make_layer(&e, d,
               "cd $M && test \"$(cat d/* | tr '\\n' .)\" = 4.3. && "
               "test -d tmp");
    make_layer(&e, side, "cd $M && test -z \"$(ls d)\" && test ! -e tmp");
    end_env(&e);
}

/* A tree is deeper than any path, and has more names than should be in memory
 * at once. */
static void nasty(void) {
    static const char *const deep =
        "python3 -c '\n"
        "import os, sys\n"
        "os.chdir(os.environ[\"M\"])\n"
        "for i in range(300):\n"
        "    os.makedirs(\"n\" * 200, exist_ok=True); os.chdir(\"n\" * 200)\n"
        "open(sys.argv[1], \"w\").write(sys.argv[1])' %s";
    static const char *const check =
        "python3 -c '\n"
        "import os\n"
        "os.chdir(os.environ[\"M\"])\n"
        "for i in range(300): os.chdir(\"n\" * 200)\n"
        "assert open(\"x\").read() + open(\"y\").read() == \"xy\"\n"
        "os.chdir(\"..\"); open(\"z\", \"w\")'";
    struct env e = make_env();
    struct fault f = {0};
    char x[1000], y[1000];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(x, sizeof x, deep, "x");
    snprintf(y, sizeof y, deep, "y");
#pragma GCC diagnostic pop
    int64_t top = make_layer(&e, make_layer(&e, 0, x), y);
    top = make_layer(&e, top,
                     "cd $M && mkdir many && cd many && seq 3000 | "
                     "xargs touch && ln 1 one && seq 50 | "
                     "xargs -I% ln 2 l%");
    CHECK_NUMBER(squash(&e, top, 0, 3, &f), 0);
    top = make_layer(&e, top, check);
    make_layer(&e, top,
               "cd $M/many && test $(ls | wc -l) = 3051 && "
               "test $(stat -c %h 2) = 51 && test 1 -ef one");
    end_env(&e);
}

static void refused(void) {
    struct env e = make_env();
    struct fault f = {0};
    int64_t a = make_layer(&e, 0, "echo 1 > $M/f"),
            b = make_layer(&e, a, "echo 2 > $M/f");
    struct chain_layer *chain;
    size_t count;
    const struct squash_range all = {0, 2};
    const atomic_bool stop = true, go_on = false;
    CHECK_NUMBER(store_layer_list(e.s, b, &chain, &count, &f), 0);
    CHECK_NUMBER(squash_layers(e.l, chain, count, all, &stop, &f), -1);
    CHECK_NUMBER(f.status, 503);
    chain[1].size = INT64_C(1) << 60;
    CHECK_NUMBER(squash_layers(e.l, chain, count, all, &go_on, &f), -1);
    CHECK_NUMBER(f.status, 507);
    chain[1].size = 2;
    chain[0].name = 999;
    CHECK_NUMBER(squash_layers(e.l, chain, count, all, &go_on, &f), -1);
    CHECK_NUMBER(f.status, 404);
    CHECK(shell("rm -r %s/l/%d", e.d.path, (int)a));
    CHECK_NUMBER(squash(&e, b, 0, 2, &f), -1);
    free(chain);
    trash_empty(e.l);
    CHECK(shell("cd %s && test $(ls l | wc -l) = 3 && test $(ls trash | wc -l) "
                "= 0",
                e.d.path));
    end_env(&e);
}

/* Squash in a child, and kill the child after `seconds`. Return how long it
 * lived. */
static double squash_and_die(struct env *e, int64_t layer, double seconds) {
    struct fault f = {0};
    close_env(e);
    double start = monotonic_seconds();
    pid_t child = fork();
    if (child == 0) {
        if (open_env(e, BASE))
            squash(e, layer, 0, 3, &f);
        _exit(0);
    }
    if (seconds > 0) {
        usleep((unsigned)(seconds * 1e6));
        kill(child, SIGKILL);
    }
    CHECK(waitpid(child, NULL, 0) == child);
    double lived = monotonic_seconds() - start;
    CHECK(open_env(e, BASE));
    return lived;
}

static int64_t some_files(struct env *e, int64_t parent) {
    return make_layer(e, parent,
                      "cd $M; for i in $(seq 20); do echo $$$i > f$i; done");
}

static void killed(void) {
    enum { ROUNDS = 6 };
    struct env e = make_env();
    struct fault f = {0};
    char lower[4096];
    int before = 0, after = 0;
    int64_t base = change(&e, 0, 1);
    double whole = 0;
    for (int round = 0; round <= ROUNDS; round++) {
        int64_t top = some_files(&e, some_files(&e, some_files(&e, base)));
        show(&e, top, "before");
        double lived = squash_and_die(&e, top, whole * round / ROUNDS);
        whole = round ? whole : lived; /* the first is not killed */
        size_t count = lower_dirs(&e, top, lower);
        CHECK(count == 4 || count == 2);
        before += count == 4;
        after += count == 2;
        show(&e, top, "after");
        CHECK(same(&e, "before", "after"));
        trash_empty(e.l);
    }
    printf("# %d times it was killed before it was done\n", before);
    /* A directory for each row, and the skeleton. */
    CHECK(shell("cd %s && test $(ls l | wc -l) = %d && ! ls -A w trash | "
                "grep -v : | grep .",
                e.d.path, 3 + (ROUNDS + 1) * 3 + after));
    CHECK_NUMBER(squash(&e, base, 0, 1, &f), 0);
    end_env(&e);
}

/* ---- the choice of layers ---- */

/* Check which layers of a chain are chosen. Each character of `levels` is a
 * layer, the top first: the digit is its level, L means a large layer. */
static void pick(const char *levels, size_t first, size_t count) {
    struct chain_layer chain[1000];
    size_t n = 0;
    for (; levels[n]; n++)
        chain[n] = (struct chain_layer){
            .level = levels[n] == 'L' ? LEVEL_LARGE : levels[n] - '0'};
    struct squash_range r = squash_due(chain, n);
    if (r.count != count || (count && r.first != first))
        printf("# %s: %zu from %zu\n", levels, r.count, r.first);
    CHECK(r.count == count && (!count || r.first == first));
}

#define TEN(x) x x x x x x x x x x
#define FIFTEEN(x) TEN(x) x x x x x

static void picking(void) {
    pick("", 0, 0);
    pick(FIFTEEN("0"), 0, 0);
    pick(FIFTEEN("0") "0", 0, 16);
    pick(FIFTEEN("0") "00", 0, 17);
    pick(FIFTEEN("0") "0L", 0, 16);
    pick(FIFTEEN("0") "L0", 0, 0);
    pick(FIFTEEN("0") "01", 0, 16);
    pick(FIFTEEN("0") FIFTEEN("1"), 0, 0);
    pick(FIFTEEN("0") FIFTEEN("1") "1", 0, 31);
    pick("000" FIFTEEN("1") "00"
                            "1"
                            "2",
         0, 21);
    pick("L" FIFTEEN("0") "0", 0, 0);
    pick(TEN(FIFTEEN("L")), 0, 0);
    pick(TEN(TEN("L")) "000000000" TEN("L") TEN("L"), 100, 9);
    pick(TEN(TEN("L")) "0000000" TEN("L") TEN("L") TEN("L"), 0, 0);
    pick(TEN(TEN("LL")) TEN(FIFTEEN("L")), 0, 349);
}

/* Keep one run after another, and squash as the engine would. */
static void lengths(void) {
    struct chain_layer chain[200];
    size_t count = 0, longest = 0;
    for (int run = 0; run < 20000; run++) {
        memmove(chain + 1, chain, count++ * sizeof *chain);
        chain[0].level = 0;
        struct squash_range r = squash_due(chain, count);
        if (r.count) {
            CHECK_NUMBER(r.first, 0);
            int level = 0;
            for (size_t i = 0; i < r.count; i++)
                level = chain[i].level > level ? chain[i].level : level;
            chain[r.count - 1].level = level + 1;
            count -= r.count - 1;
            memmove(chain, chain + r.count - 1, count * sizeof *chain);
        }
        longest = count > longest ? count : longest;
    }
    CHECK(longest <= 60);
}

int main(void) {
    RUN(picking, "what is due");
    RUN(lengths, "chains stay short");
    RUN(any_changes, "a squashed layer shows what its layers showed");
    RUN(goes_on, "runs go on above a squashed layer, and beside it");
    RUN(nasty, "nasty trees are squashed");
    RUN(refused, "a squash that fails leaves nothing");
    RUN(killed, "a killed squash leaves the old layers or the new one");
    return CHECK_DONE();
}
