/* hide.c: see hide.h. */
#define _GNU_SOURCE
#include "unpack/hide.h"
#include "base/descriptor.h"
#include "base/overlay.h"
#include "base/scope.h"
#include "base/tree.h"
#include "unpack/implied.h"
#include "unpack/root.h"
#include "unpack/trail.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static int is_below(struct unpack *u, const char *name) {
    struct trail t CLEANUP(trail_end) = {.here = -1};
    struct spot s;
    int found = trail_follow(u, &t, u->parent_place, false);
    if (found <= 0)
        return found;
    return trail_look(u, &t, name, &s) < 0 ? -1 : s.where == BELOW;
}

int hide_name(struct unpack *u, int parent, const char *name) {
    int below = u->o->below ? is_below(u, name) : u->o->whiteouts;
    if (below == 1 && mknodat(parent, name, S_IFCHR | 0600, makedev(0, 0)) < 0)
        return unpack_failed(u, "hiding", name);
    u->implied_count += below == 1;
    return below < 0 ? -1 : 0;
}

static int drop_whiteout(void *arg, int dir, const char *name,
                         const struct stat *st) {
    if (unpack_must_stop(arg))
        return -1;
    return overlay_is_whiteout(st) ? unlinkat(dir, name, 0) : 0;
}

/* Removes whiteouts and implied directories, at any depth. */
static int drop_hidden(struct unpack *u, int dir) {
    if (u->implied_count == 0 ||
        tree_walk_out(dir, drop_whiteout, implied_drop, u) == 0)
        return 0;
    return u->stopped ? -1 : unpack_failed(u, "hiding", "a directory");
}

int hide_all(struct unpack *u, int dir) {
    return drop_hidden(u, dir) < 0 ? -1 : root_set_opaque(u, dir, ".");
}

int hide_prune(struct unpack *u, int parent, const char *name) {
    int dir CLEANUP(cleanup_close) = openat(parent, name, OPEN_DIRECTORY);
    if (dir < 0 || drop_hidden(u, dir) < 0)
        return dir < 0 ? unpack_failed(u, "opening", name) : -1;
    if (implied_drop(u, parent, name) < 0)
        return unpack_failed(u, "hiding", name);
    return faccessat(parent, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}
