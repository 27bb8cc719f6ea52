/* trash.c: see trash.h. */
#define _GNU_SOURCE
#include "layer/trash.h"
#include "base/log.h"
#include "base/tree.h"
#include "layer/internal.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

int trash_move(struct layers *l, const char *path) {
    char name[32];
    for (;;) {
        pthread_mutex_lock(&l->lock);
        int64_t number = l->next_trash++;
        pthread_mutex_unlock(&l->lock);
        snprintf(name, sizeof name, "%lld", (long long)number);
        if (renameat(l->dir_fd, path, l->trash_fd, name) == 0) {
            l->trash_used = true;
            return 0;
        }
        if (errno != EEXIST && errno != ENOTEMPTY)
            break;
    }
    if (errno != ENOENT)
        log_line("cannot move %s to the trash: %s", path, strerror(errno));
    return -1;
}

void trash_empty(struct layers *l) {
    pthread_mutex_lock(&l->trash_lock);
    l->trash_used = false;
    int stuck = tree_delete(l->trash_fd);
    if (stuck)
        log_line("%s of the trash cannot be deleted",
                 stuck < 0 ? "the entries" : "some entries");
    pthread_mutex_unlock(&l->trash_lock);
}

bool trash_is_empty(struct layers *l) {
    return !l->trash_used;
}
