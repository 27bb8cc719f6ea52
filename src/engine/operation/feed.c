/* feed.c: see feed.h. */
#define _GNU_SOURCE
#include "operation/feed.h"
#include "base/descriptor.h"
#include "base/scope.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    /* Copied at once. While the process reads one piece, the next is copied. */
    PIECE = 1 << 20,
    PIECES = 2
};

/* Part of the spool that holds part of the file. */
struct piece {
    int64_t at;
    size_t length, sent;
};

struct feed {
    struct job job;
    bool busy, stopped; /* the job is in a worker; nobody waits for it */
    struct event_log *log;
    int spid, file, spool; /* ours: the job moves its position */
    off_t offset, end;     /* of the file: the next to be copied */
    struct piece pieces[PIECES];
    size_t first, count;   /* a ring */
    struct piece *filling; /* the one behind them, by the job */
    int error;             /* errno of the job, 0: none */
    void (*ready)(void *arg);
    void *arg;
};

static void feed_free(struct feed *feed) {
    drop_fd(&feed->file);
    drop_fd(&feed->spool);
    event_log_unref(feed->log);
    free(feed);
}

void feed_stop(struct feed **f) {
    struct feed *feed = steal_pointer(f);
    if (!feed)
        return;
    feed->stopped = true;
    if (!feed->busy)
        feed_free(feed);
}

static struct piece *piece_at(struct feed *feed, size_t n) {
    return &feed->pieces[(feed->first + n) % PIECES];
}

/* Worker. */
static void copy_work(struct job *j) {
    struct feed *feed = (struct feed *)j;
    struct piece *p = feed->filling;
    size_t done = 0;
    if (lseek(feed->spool, p->at, SEEK_SET) < 0)
        feed->error = errno;
    while (!feed->error && done < p->length) {
        off_t from = feed->offset + (off_t)done;
        ssize_t n = sendfile(feed->spool, feed->file, &from, p->length - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            feed->error = n < 0 ? errno : EIO; /* it became shorter */
        else
            done += (size_t)n;
    }
    p->length = done;
}

static void copy_done(struct job *j);

static void copy_next(struct feed *feed) {
    off_t left = feed->end - feed->offset;
    if (feed->busy || feed->error || left == 0 || feed->count == PIECES)
        return;
    struct piece *p = piece_at(feed, feed->count);
    *p = (struct piece){.length = left < PIECE ? (size_t)left : PIECE};
    p->at = event_reserve_input(feed->log, p->length);
    feed->filling = p;
    feed->busy = true;
    job_start(feed->job.workers, &feed->job, copy_work, copy_done);
}

static void copy_done(struct job *j) {
    struct feed *feed = (struct feed *)j;
    feed->busy = false;
    if (feed->stopped) {
        feed_free(feed);
        return;
    }
    feed->offset += (off_t)feed->filling->length;
    feed->count += feed->filling->length > 0;
    copy_next(feed);
    feed->ready(feed->arg);
}

/* Move one piece to the pipe, and tell it. -1: the pipe is full, or nobody
 * reads it any more. */
static int send_piece(struct feed *feed, struct piece *p, int pipe) {
    while (p->sent < p->length) {
        off_t from = (off_t)p->at + (off_t)p->sent;
        ssize_t n = splice(feed->spool, &from, pipe, NULL, p->length - p->sent,
                           SPLICE_F_NONBLOCK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0)
            errno = EPIPE;
        if (n <= 0)
            return -1;
        event_add_input(feed->log, feed->spid, p->at + (int64_t)p->sent,
                        (size_t)n);
        p->sent += (size_t)n;
    }
    return 0;
}

enum feed_status feed_write(struct feed *feed, int pipe) {
    while (feed->count > 0) {
        if (send_piece(feed, piece_at(feed, 0), pipe) < 0)
            return errno == EAGAIN ? FEED_FULL : FEED_END;
        feed->first = (feed->first + 1) % PIECES;
        feed->count--;
        copy_next(feed);
    }
    if (feed->busy)
        return FEED_WAIT;
    if (feed->error) {
        errno = feed->error;
        event_log_break(feed->log, "cannot read the standard input");
    }
    return FEED_END;
}

struct feed *feed_start(struct workers *workers, struct event_log *log,
                        int spid, int file, off_t offset,
                        void (*ready)(void *arg), void *arg, struct fault *f) {
    struct stat st;
    struct feed *feed = calloc(1, sizeof *feed);
    if (!feed) {
        close_fd(file);
        fault_memory(f);
        return NULL;
    }
    feed->job.workers = workers;
    feed->log = event_log_ref(log);
    feed->spid = spid;
    feed->file = file;
    feed->offset = offset;
    feed->ready = ready;
    feed->arg = arg;
    feed->spool = event_input(log, f);
    if (feed->spool < 0 || fstat(file, &st) < 0) {
        if (feed->spool >= 0)
            fault_errno(f, "cannot read the standard input");
        feed_free(feed);
        return NULL;
    }
    feed->end = st.st_size > offset ? st.st_size : offset;
    copy_next(feed);
    return feed;
}
