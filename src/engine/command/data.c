/* data.c: see data.h. */
#define _GNU_SOURCE
#include "command/data.h"
#include "base/descriptor.h"
#include "base/scope.h"
#include "layer/layers.h"
#include "sandbox/userns.h"
#include "store/store.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* mkdir -p with mode 0700. */
static int make_directories(const char *path, struct fault *f) {
    char *copy CLEANUP(cleanup_free) = strdup(path);
    if (!copy)
        return fault_memory(f);
    for (char *p = copy + 1; *p; p++) {
        if (*p != '/')
            continue;
        *p = 0;
        if (mkdir(copy, 0700) < 0 && errno != EEXIST)
            return fault_errno(f, "cannot make %s", copy);
        *p = '/';
    }
    if (mkdir(copy, 0700) < 0 && errno != EEXIST)
        return fault_errno(f, "cannot make %s", copy);
    return 0;
}

/* The directory holds set-id programs of images: only its owner may look into
 * it.
 */
int data_directory(const char *path, struct fault *f) {
    struct stat st;
    if (make_directories(path, f) < 0)
        return -1;
    int fd CLEANUP(cleanup_close) =
        open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return fault_errno(f, "cannot open the data directory %s", path);
    if (st.st_uid != geteuid())
        return fault_set(f, 403,
                         "the data directory %s belongs to another user; "
                         "choose one of yours with --data-dir",
                         path);
    if (st.st_mode & 077)
        return fault_set(f, 403,
                         "the data directory %s is open to others; run "
                         "\"chmod 700 %s\" if it is meant for the engine alone",
                         path, path);
    if (faccessat(fd, ".", W_OK, AT_EACCESS) < 0)
        return fault_errno(f, "cannot write to the data directory %s", path);
    return steal_fd(&fd);
}

int data_open_store(struct engine *e, struct fault *f) {
    struct fault why;
    e->store = store_open(e->dir_fd, e->config->data_dir, &why);
    if (!e->store && why.status == 409)
        return fault_set(f, 409, "%.400s, whose lock it holds", why.message);
    if (!e->store) {
        *f = why;
        return -1;
    }
    e->layers = layers_open(e->dir_fd, e->store, e->ids.base, f);
    return e->layers ? 0 : -1;
}

int data_open(struct engine *e, struct fault *f) {
    if (userns_enter(&e->ids, f) < 0)
        return -1;
    e->dir_fd = data_directory(e->config->data_dir, f);
    return e->dir_fd < 0 ? -1 : data_open_store(e, f);
}

void data_close(struct engine *e) {
    layers_close(e->layers);
    store_close(e->store);
    drop_fd(&e->dir_fd);
}
