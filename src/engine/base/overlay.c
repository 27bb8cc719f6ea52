/* overlay.c: see overlay.h. */
#define _GNU_SOURCE
#include "base/overlay.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

void layer_path(int64_t id, char out[32]) {
    snprintf(out, 32, id < 0 ? "w/%lld/u" : "l/%lld", llabs(id));
}

bool overlay_is_whiteout(const struct stat *st) {
    return S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0);
}

bool overlay_is_opaque(int dir) {
    char mark;
    return fgetxattr(dir, "user.overlay.opaque", &mark, 1) == 1 && mark == 'y';
}

/* What a sandbox sets under this prefix is stored as user.overlay.overlay. */
bool overlay_owns_attribute(const char *name) {
    return strncmp(name, "user.overlay.", 13) == 0 &&
           strncmp(name + 13, "overlay.", 8) != 0;
}

bool overlay_keeps_attribute(const char *name) {
    return !overlay_owns_attribute(name) && strncmp(name, "trusted.", 8) != 0 &&
           (strncmp(name, "security.", 9) != 0 ||
            strcmp(name, "security.capability") == 0);
}

int overlay_clean_work(int dir, const char *work) {
    static const struct {
        const char *name;
        int flags;
    } marks[] = {
        {"volatile/dirty", 0}, {"volatile", AT_REMOVEDIR}, {"", AT_REMOVEDIR}};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        char path[80];
        snprintf(path, sizeof path, "%s/work/incompat/%s", work, marks[i].name);
        if (unlinkat(dir, path, marks[i].flags) < 0 && errno != ENOENT)
            return -1;
    }
    return 0;
}
