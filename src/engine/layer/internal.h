/* internal.h: the state behind struct layers. For this room only. */
#ifndef CONTREE_LAYER_INTERNAL_H
#define CONTREE_LAYER_INTERNAL_H

#include "store/store.h"
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define OPEN_DIRECTORY (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
/* Workspaces that are kept to be used again. */
#define KEPT 64

struct layers {
    struct store *store;
    int dir_fd, trash_fd;
    uid_t id_base;
    pthread_mutex_t lock; /* of the next six */
    int64_t next_workspace, next_trash;
    int64_t kept[KEPT];
    size_t kept_count;
    struct left_workspace *left;
    size_t left_count;
    pthread_mutex_t trash_lock; /* one thread at a time deletes */
    atomic_bool trash_used;
};

#endif
