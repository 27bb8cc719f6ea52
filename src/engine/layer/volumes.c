/* volumes.c: see volumes.h. */
#define _GNU_SOURCE
#include "layer/volumes.h"
#include "base/clock.h"
#include "base/descriptor.h"
#include "base/log.h"
#include "base/scope.h"
#include "base/tree.h"
#include "layer/internal.h"
#include "layer/skeleton.h"
#include "layer/survey.h"
#include "layer/trash.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A directory that is changed while it is read may have to be read again. */
enum { ATTEMPTS = 3 };

static void volume_path(const struct stored_volume *v, char out[48]) {
    snprintf(out, 48, "v/%s", v->directory);
}

int volume_check_name(const char *name, struct fault *f) {
    if (tag_check(name, NULL) == 0)
        return 0;
    return fault_set(f, 400,
                     "malformed volume name '%.80s': it has 1 to 256 of a-z "
                     "0-9 _ - with single : / . between them",
                     name);
}

/* Make its directory durable, so that the row may follow. */
static int make_directory(struct layers *l, const struct stored_volume *v,
                          struct fault *f) {
    char path[48];
    volume_path(v, path);
    int all CLEANUP(cleanup_close) = openat(l->dir_fd, "v", OPEN_DIRECTORY);
    if (all >= 0 && make_owned(l->dir_fd, path, ROOT_MODE, l->id_base) == 0) {
        int fd CLEANUP(cleanup_close) = openat(l->dir_fd, path, OPEN_DIRECTORY);
        if (fd >= 0 && fsync(fd) == 0 && fsync(all) == 0)
            return 0;
    }
    fault_errno(f, "making a volume");
    trash_move(l, path);
    return -1;
}

static int make(struct layers *l, const char *name, int64_t quota,
                struct stored_volume *out, struct fault *f) {
    char path[48];
    struct stored_volume v = {.created = wall_microseconds(), .quota = quota};
    snprintf(v.name, sizeof v.name, "%s", name);
    uuid_ordered(v.directory);
    if (make_directory(l, &v, f) < 0)
        return -1;
    int added = store_volume_add(l->store, &v, f);
    *out = v;
    if (added > 0)
        return 1;
    /* Another thread was first, or the row could not be written. */
    volume_path(&v, path);
    trash_move(l, path);
    return added < 0 ? -1 : store_volume_get(l->store, name, out, f);
}

static int check_directory(struct layers *l, const struct stored_volume *v,
                           struct fault *f) {
    char path[48];
    volume_path(v, path);
    if (faccessat(l->dir_fd, path, F_OK, 0) == 0)
        return 0;
    return fault_set(f, 500,
                     "the files of the volume \"%.256s\" are lost (%s). Fix: "
                     "remove it",
                     v->name, strerror(errno));
}

int volume_find_or_make(struct layers *l, const char *name, int64_t quota,
                        struct stored_volume *out, struct fault *f) {
    struct fault why;
    if (volume_check_name(name, f) < 0)
        return -1;
    if (store_volume_get(l->store, name, out, &why) == 0)
        return check_directory(l, out, f);
    if (why.status == 404)
        return make(l, name, quota, out, f);
    *f = why;
    return -1;
}

/* On a full disk there is no room to note the removal, so make some. */
static void make_room(struct layers *l, const struct stored_volume *v) {
    char path[48];
    volume_path(v, path);
    int fd CLEANUP(cleanup_close) = openat(l->dir_fd, path, OPEN_DIRECTORY);
    if (fd < 0 || tree_delete(fd) != 0)
        log_line("the volume \"%s\" cannot be emptied", v->name);
}

static int remove_row(struct layers *l, const struct stored_volume *v,
                      struct fault *f) {
    return store_volume_remove(l->store, v, f) < 0 ? -1
                                                   : store_sync(l->store, f);
}

int volume_remove(struct layers *l, const char *name, struct fault *f) {
    char path[48];
    struct stored_volume v;
    struct fault why;
    if (store_volume_get(l->store, name, &v, f) < 0)
        return -1;
    if (remove_row(l, &v, &why) < 0) {
        if (why.status == 507)
            make_room(l, &v);
        if (why.status != 507 || remove_row(l, &v, &why) < 0) {
            *f = why;
            return -1;
        }
    }
    volume_path(&v, path);
    trash_move(l, path); /* if that fails the next engine does it */
    return 0;
}

int volume_measure(struct layers *l, const struct stored_volume *v,
                   int64_t *bytes, struct fault *f) {
    char path[48];
    struct survey found;
    volume_path(v, path);
    int fd CLEANUP(cleanup_close) = openat(l->dir_fd, path, OPEN_DIRECTORY);
    if (fd < 0)
        return fault_errno(f, "reading a volume");
    for (int i = 0; i < ATTEMPTS; i++)
        if (survey_tree(fd, &found, f) == 0) {
            *bytes = found.bytes;
            return 0;
        }
    return -1;
}
