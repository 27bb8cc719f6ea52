/* inspect.c: wherever a path leads in a tree that is made to lead out, what is
 * found is in the image. The first byte says what is done with the path. */
#define _GNU_SOURCE
#include "../input.h"
#include "view/archive.h"
#include "view/view.h"
#include "view/walk.h"
#include <fcntl.h>
#include <unistd.h>

enum { ITEMS = 500 };

static struct site {
    int dir, null;
    struct view *view;
    ino_t secret, top; /* outside of the image */
} site;

static const char tree[] =
    "set -e; cd '%s'; echo secret > secret; mkdir -p l/0/etc l/1 l/2; cd l/1; "
    "mkdir -p a/b/c d e/f etc; echo x > a/b/c/x; echo y > d/y; ln -s / r; "
    "ln -s .. up; ln -s ../../../.. a/b/up; ln -s ../../../secret a/s; "
    "ln -s /../../secret s; ln -s a/b ab; ln -s /a/b/c abc; ln -s loop loop; "
    "ln -s l2 l1; ln -s l1 l2; ln -s abc/../../d/y yy; ln -s a/b/c/x/ file; "
    "ln -s ../r/../a/../up/r/ab/up/s twisty; mkfifo fifo; ln a/b/c/x hard; "
    "ln -s $(printf '/%%.0s' $(seq 1000))a slashes; cd ../2; mkdir a; "
    "ln -s /d a/dd; mknod d c 0 0; mkdir e; mknod e/f c 0 0; ln -s up r2; "
    "ln -s ../../../../../../../../tmp out; ln -s r2/r2/r2 r3; "
    "ln -s /proc/self/root p";

static void make_site(void) {
    static const int64_t layers[] = {2, 1};
    char command[2048];
    struct stat st;
    struct fault f;
    snprintf(command, sizeof command, tree, fuzz_directory("inspect"));
    HOLDS(system(command) == 0);
    site.dir = open(fuzz_directory("inspect"), O_RDONLY | O_DIRECTORY);
    HOLDS(site.dir >= 0 && fstat(site.dir, &st) == 0);
    site.top = st.st_ino;
    HOLDS(fstatat(site.dir, "secret", &st, 0) == 0);
    site.secret = st.st_ino;
    site.null = open("/dev/null", O_WRONLY);
    site.view = view_open(site.dir, layers, 2, (struct id_range){0, 65536}, &f);
    HOLDS(site.view);
}

static void check(const struct item *i) {
    char inside[64 + INSPECT_PATH];
    struct stat st;
    HOLDS(i->st.st_ino != site.secret && i->st.st_ino != site.top);
    HOLDS(*i->path != '/' && !strstr(i->path, "//"));
    HOLDS(i->layer == 0 || i->layer == 1 || i->layer == 2);
    snprintf(inside, sizeof inside, "l/%d/%s", (int)i->layer, i->path);
    HOLDS(fstatat(site.dir, inside, &st, AT_SYMLINK_NOFOLLOW) == 0);
    HOLDS(st.st_ino == i->st.st_ino);
}

static bool visit(void *arg, const struct item *i) {
    int *count = arg;
    check(i);
    return ++*count < ITEMS;
}

static void open_file(const char *path) {
    struct fault f;
    struct stat st;
    int fd = inspect_open(site.view, path, NULL, &f);
    if (fd < 0)
        return;
    HOLDS(fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
          st.st_ino != site.secret);
    close(fd);
}

static void walk(const char *path) {
    struct fault f;
    struct item i;
    struct walk *w = walk_begin(site.view, path, &f);
    for (int n = 0; w && n < ITEMS && walk_next(w, &i, &f) == 1; n++)
        check(&i);
    walk_end(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input in = {data, size};
    struct fault f;
    struct item i;
    int count = 0;
    if (!site.view)
        make_site();
    uint8_t what = input_byte(&in);
    char *path = input_text(&in, '\0');
    if (inspect_stat(site.view, path, what & 1, &i, &f) == 0)
        check(&i);
    else
        HOLDS(f.status == 400 || f.status == 404 || f.status == 422);
    open_file(path);
    if (what & 2)
        inspect_list(site.view, path, visit, &count, &f);
    if (what & 4)
        walk(path);
    if (what & 8)
        inspect_archive(site.view, path, site.null, NULL, &f);
    free(path);
    return 0;
}
