/* flusher.c: see flusher.h. */
#define _GNU_SOURCE
#include "unpack/flusher.h"
#include "base/scope.h"
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

struct flusher {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t news;
    int root;
    bool wanted, stop;
};

static void *flush(void *arg) {
    struct flusher *w = arg;
    pthread_mutex_lock(&w->lock);
    while (!w->stop) {
        if (!w->wanted) {
            pthread_cond_wait(&w->news, &w->lock);
            continue;
        }
        w->wanted = false;
        pthread_mutex_unlock(&w->lock);
        (void)!syncfs(w->root); /* the last sync tells */
        pthread_mutex_lock(&w->lock);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

static struct flusher *open_flusher(int root) {
    struct flusher *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->root = root;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->news, NULL);
    if (pthread_create(&w->thread, NULL, flush, w) == 0)
        return w;
    free(w);
    return NULL;
}

void flusher_wake(struct flusher **flusher, int root) {
    if (!*flusher)
        *flusher = open_flusher(root);
    struct flusher *w = *flusher;
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->wanted = true;
    pthread_cond_signal(&w->news);
    pthread_mutex_unlock(&w->lock);
}

void flusher_close(struct flusher **flusher) {
    struct flusher *w = steal_pointer(flusher);
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_cond_signal(&w->news);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    pthread_cond_destroy(&w->news);
    pthread_mutex_destroy(&w->lock);
    free(w);
}
