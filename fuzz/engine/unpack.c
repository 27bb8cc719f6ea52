/* unpack.c: whatever an archive has, nothing outside of its directory changes,
 * and in it there is no device but whiteouts, no attribute but those that an
 * image may have, and no more than the limits allow. The checksums of headers
 * are mended, so that changed headers are looked at. The first byte: options.
 */
#define _GNU_SOURCE
#include "unpack/unpack.h"
#include "../input.h"
#include "base/overlay.h"
#include "base/tree.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { BYTES_MAX = 1 << 20, ENTRIES_MAX = 200 };

static void check_attributes(int dir, const char *name, bool whole) {
    char list[4096];
    int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    ssize_t n = fd < 0 ? 0 : flistxattr(fd, list, sizeof list);
    for (char *p = list; n > 0 && p < list + n; p += strlen(p) + 1)

        HOLDS(overlay_keeps_attribute(p) ||
              strcmp(p, "user.overlay.opaque") == 0 ||
              /* The caller deletes what was not unpacked whole. */
              (!whole && strcmp(p, "user.overlay.implied") == 0));
    if (fd >= 0)
        close(fd);
}

struct seen {
    bool whole;
    int64_t entries;
};

static int see(void *arg, int dir, const char *name, const struct stat *st) {
    struct seen *s = arg;
    s->entries++;
    HOLDS(!S_ISBLK(st->st_mode) && !S_ISSOCK(st->st_mode));
    HOLDS(!S_ISCHR(st->st_mode) || overlay_is_whiteout(st));
    HOLDS(geteuid() != 0 || S_ISCHR(st->st_mode) || !s->whole ||
          st->st_uid >= 1000);
    if (S_ISREG(st->st_mode) || S_ISDIR(st->st_mode))
        check_attributes(dir, name, s->whole);
    return 0;
}

/* The directory around, where names of an archive might lead. */
struct around {
    int dir, archive;
    struct stat file, outside;
};

static void look(const struct around *a, struct stat *file,
                 struct stat *outside) {
    HOLDS(fstatat(a->dir, "outside/file", file, 0) == 0);
    HOLDS(fstatat(a->dir, "outside", outside, 0) == 0);
}

static struct around make_around(void) {
    struct around a = {
        .dir = open(fuzz_directory("unpack"), O_RDONLY | O_DIRECTORY),
        .archive = memfd_create("archive", MFD_CLOEXEC)};
    HOLDS(a.dir >= 0 && a.archive >= 0 && mkdirat(a.dir, "outside", 0700) == 0);
    close(openat(a.dir, "outside/file", O_CREAT | O_WRONLY, 0600));
    look(&a, &a.file, &a.outside);
    return a;
}

static bool is_unchanged(const struct stat *a, const struct stat *b) {
    return a->st_ctim.tv_nsec == b->st_ctim.tv_nsec &&
           a->st_nlink == b->st_nlink && a->st_size == b->st_size;
}

static void unpack(const struct around *a, uint8_t options) {
    struct unpack_result result;
    struct fault f;
    struct stat file, outside;
    struct seen seen = {0};
    HOLDS(mkdirat(a->dir, "root", 0755) == 0);
    int root = openat(a->dir, "root", O_RDONLY | O_DIRECTORY);
    HOLDS(root >= 0);
    const struct unpack_options o = {.ids = {1000, 65536},
                                     .whiteouts = options & 1,
                                     .at = options & 2 ? "work/a" : NULL,
                                     .max_bytes = BYTES_MAX,
                                     .max_entries = ENTRIES_MAX};
    seen.whole = unpack_tar(root, a->archive, &o, &result, &f) == 0;
    if (!seen.whole)
        HOLDS(f.status == 413 || f.status == 422);
    HOLDS(result.bytes <= BYTES_MAX);
    HOLDS(tree_walk(root, see, &seen) == 0);
    HOLDS(seen.entries <= 2 * ENTRIES_MAX + 2);
    close(root);
    HOLDS(tree_delete_at(a->dir, "root") == 0);
    look(a, &file, &outside);
    HOLDS(is_unchanged(&file, &a->file) && is_unchanged(&outside, &a->outside));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct around around; /* made once */
    struct input in = {data, size};
    size_t length;
    if (around.dir == 0)
        around = make_around();
    uint8_t options = input_byte(&in);
    char *bytes = input_rest(&in, &length);
    mend_checksums(bytes, length);
    HOLDS(ftruncate(around.archive, 0) == 0 &&
          pwrite(around.archive, bytes, length, 0) == (ssize_t)length &&
          lseek(around.archive, 0, SEEK_SET) == 0);
    unpack(&around, options);
    free(bytes);
    return 0;
}
