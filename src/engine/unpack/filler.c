/* filler.c: see filler.h. Work is handed over in batches: while the thread does
 * one, the other is filled. So threads wake one another rarely. */
#define _GNU_SOURCE
#include "unpack/filler.h"
#include "base/descriptor.h"
#include "base/fd.h"
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BATCH_BYTES = 1 << 20,
    /* Each may hold a descriptor, and the process may have 256 of them. */
    BATCH_STEPS = 64
};

/* A piece of a file, and its end if `ends`. */
struct step {
    int fd;
    size_t at, length; /* in the batch */
    off_t offset;
    bool ends, whole;
    struct file_end end; /* if it is whole */
    char name[256];
};

struct batch {
    size_t steps, bytes;
    struct step step[BATCH_STEPS];
    char data[BATCH_BYTES];
};

struct filler {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t news;
    struct batch *open; /* is being filled */
    struct batch *full; /* is being written; NULL: the thread is idle */
    struct batch *free; /* the one that is neither */
    bool ready, stop;
    atomic_bool failed;
    struct filler_failure failure;
};

/* ---- the thread ---- */

/* The owner comes first: chown removes set-id bits. */
static int end_file(int fd, const struct file_end *e) {
    if (e->size >= 0 && ftruncate(fd, e->size) < 0)
        return -1;
    if (fchown(fd, e->uid, e->gid) < 0 || fchmod(fd, e->mode) < 0)
        return -1;
    return futimens(fd, e->times);
}

static int do_step(const struct batch *b, const struct step *s) {
    if (pwrite_all(s->fd, b->data + s->at, s->length, s->offset) < 0)
        return -1;
    return s->ends && s->whole ? end_file(s->fd, &s->end) : 0;
}

static void fail(struct filler *w, const struct step *s) {
    w->failure.error = errno;
    memcpy(w->failure.name, s->name, sizeof s->name);
    w->failed = true;
}

static void do_batch(struct filler *w, struct batch *b) {
    for (struct step *s = b->step; s < b->step + b->steps; s++) {
        if (!w->failed && do_step(b, s) < 0)
            fail(w, s);
        if (s->ends)
            close_fd(s->fd);
    }
    b->steps = b->bytes = 0;
}

static void *fill(void *arg) {
    struct filler *w = arg;
    pthread_mutex_lock(&w->lock);
    w->ready = true;
    pthread_cond_broadcast(&w->news);
    while (w->full || !w->stop) {
        if (!w->full) {
            pthread_cond_wait(&w->news, &w->lock);
            continue;
        }
        pthread_mutex_unlock(&w->lock);
        do_batch(w, w->full);
        pthread_mutex_lock(&w->lock);
        w->free = w->full;
        w->full = NULL;
        pthread_cond_broadcast(&w->news);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

/* ---- the other one ---- */

static void free_filler(struct filler *w) {
    free(w->open);
    free(w->free);
    free(w);
}

static bool has_two_processors(void) {
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) < 0 || CPU_COUNT(&set) > 1;
}

struct filler *filler_open(void) {
    struct filler *w = has_two_processors() ? calloc(1, sizeof *w) : NULL;
    if (!w)
        return NULL;
    w->open = calloc(1, sizeof *w->open);
    w->free = calloc(1, sizeof *w->free);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->news, NULL);
    if (!w->open || !w->free ||
        pthread_create(&w->thread, NULL, fill, w) != 0) {
        free_filler(w);
        return NULL;
    }
    pthread_mutex_lock(&w->lock);
    while (!w->ready)
        pthread_cond_wait(&w->news, &w->lock);
    pthread_mutex_unlock(&w->lock);
    return w;
}

static void await_idle(struct filler *w) {
    while (w->full)
        pthread_cond_wait(&w->news, &w->lock);
}

static void hand_over(struct filler *w) {
    if (w->open->steps == 0)
        return;
    pthread_mutex_lock(&w->lock);
    await_idle(w);
    w->full = w->open;
    w->open = w->free;
    w->free = NULL;
    pthread_cond_broadcast(&w->news);
    pthread_mutex_unlock(&w->lock);
}

static struct step *new_step(struct filler *w, int fd, const char *name) {
    if (w->open->steps == BATCH_STEPS || w->open->bytes == BATCH_BYTES)
        hand_over(w);
    struct batch *b = w->open;
    struct step *s = &b->step[b->steps++];
    *s = (struct step){.fd = fd, .at = b->bytes};
    snprintf(s->name, sizeof s->name, "%s", name);
    return s;
}

void filler_add(struct filler *w, int fd, const char *name, const void *data,
                size_t length, off_t offset) {
    const char *from = data;
    while (length) {
        struct step *s = new_step(w, fd, name);
        size_t room = BATCH_BYTES - w->open->bytes;
        s->length = length < room ? length : room;
        s->offset = offset;
        memcpy(w->open->data + s->at, from, s->length);
        w->open->bytes += s->length;
        from += s->length;
        offset += (off_t)s->length;
        length -= s->length;
    }
}

void filler_end(struct filler *w, int fd, const char *name,
                const struct file_end *end) {
    struct batch *b = w->open;
    struct step *s = b->steps && b->step[b->steps - 1].fd == fd
                         ? &b->step[b->steps - 1]
                         : new_step(w, fd, name);
    s->ends = true;
    s->whole = end != NULL;
    if (end)
        s->end = *end;
}

bool filler_has_failed(struct filler *w) {
    return w->failed;
}

int filler_wait(struct filler *w) {
    hand_over(w);
    pthread_mutex_lock(&w->lock);
    await_idle(w);
    pthread_mutex_unlock(&w->lock);
    return w->failed ? -1 : 0;
}

const struct filler_failure *filler_failure(const struct filler *w) {
    return &w->failure;
}

void filler_close(struct filler *w) {
    if (!w)
        return;
    hand_over(w);
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_cond_broadcast(&w->news);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    pthread_cond_destroy(&w->news);
    pthread_mutex_destroy(&w->lock);
    free_filler(w);
}
