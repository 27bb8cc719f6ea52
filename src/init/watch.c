#define _GNU_SOURCE
#include "init/watch.h"
#include "init/protocol.h"
#include "init/put.h"
#include "init/watch_told.h"
#include "init/watch_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    STEPS = 128,      /* entries or events, before orders are looked at */
    MOVES_MAX = 64,   /* whose other half has not come yet */
    TRIES = 3,        /* to find a directory that was not there */
    FINISH_MS = 5000, /* a busy machine may take so long */
    WAITS = 25,       /* of MOVE_MS, for the engine to read the last ones */
    MOVE_MS = 20,     /* for that */
    MASK = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_MODIFY |
           IN_CLOSE_WRITE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF |
           IN_ONLYDIR | IN_EXCL_UNLINK,
};

/* The first half of a move. */
struct move {
    uint32_t cookie;
    bool is_dir;
    int64_t since;
    char path[PATH_MAX];
    struct watch_dir *dir; /* of the tree, or NULL */
};

struct watch {
    struct watch *next;
    int inotify, out; /* events, the engine */
    char *where;      /* the directory, and what it is */
    dev_t device;
    ino_t inode;
    bool recursive, ready;
    bool finishing;      /* no more will happen */
    int64_t last_scan;   /* milliseconds */
    int64_t doubt_since; /* what was scanned since then may be another */
    bool lost;           /* a directory was not where it had been */
    bool tries_again;    /* that is to be looked for again */
    bool failed;         /* no more is told */
    bool ended;          /* the engine is gone */
    struct watch_tree tree;
    /* What goes to the engine, if its socket is full. */
    struct watch_packet packet;
    size_t packet_length; /* 0: none */
    DIR *scanning;
    struct watch_dir *scanned;
    struct watch_told told;
    struct move *moves[MOVES_MAX];
    size_t move_count;
    char events[16384] __attribute__((aligned(8)));
    size_t at, length; /* in `events` */
};

static int64_t now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- telling ---- */

/* False: the engine has to read first. */
static bool flush(struct watch *w) {
    if (w->packet_length == 0)
        return true;
    ssize_t n =
        send(w->out, &w->packet, w->packet_length, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOBUFS))
        return false;
    if (n < 0)
        w->ended = true;
    w->packet_length = 0;
    return true;
}

/* Two texts: paths below the watched directory, of which the second may be
 * empty. There is no other packet that waits. */
static void tell(struct watch *w, uint32_t kind, bool is_dir, const char *path,
                 const char *from) {
    size_t a = strlen(path) + 1, b = strlen(from) + 1;
    w->packet.kind = kind;
    w->packet.is_dir = is_dir;
    memcpy(w->packet.text, path, a);
    memcpy(w->packet.text + a, from, b);
    w->packet_length = offsetof(struct watch_packet, text) + a + b;
    flush(w);
}

/* It ends when the engine was told. */
static void give_up(struct watch *w, int status, const char *why) {
    w->packet.status = status;
    tell(w, WATCH_FAILED, false, why, "");
    w->failed = true;
}

static void give_up_errno(struct watch *w, const char *what) {
    struct failure f = {0};
    if (errno == ENOSPC || errno == EMFILE)
        fail(&f, 429,
             "%s: the limit of directories that can be watched is reached "
             "(a quarter of fs.inotify.max_user_watches and "
             "max_user_instances)",
             what);
    else
        fail_errno(&f, "%s", what);
    if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP ||
        errno == ENAMETOOLONG)
        f.status = 422;
    give_up(w, f.status, f.message);
}

/* ---- scanning ---- */

static void unwatch(void *arg, int number) {
    const struct watch *w = arg;
    if (w->inotify >= 0)
        inotify_rm_watch(w->inotify, number);
}

static void remove_dir(struct watch *w, struct watch_dir *d) {
    for (const struct watch_dir *s = w->scanned; s; s = s->parent)
        if (s == d) {
            closedir(w->scanning);
            w->scanning = NULL;
            w->scanned = NULL;
            break;
        }
    for (size_t i = 0; i < w->move_count; i++)
        for (const struct watch_dir *s = w->moves[i]->dir; s; s = s->parent)
            if (s == d) {
                w->moves[i]->dir = NULL;
                break;
            }
    tree_remove(&w->tree, d, unwatch, w);
}

static int open_top(const char *path) {
    int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return -1;
    int fd = put_open(root, path, O_RDONLY | O_DIRECTORY | O_NONBLOCK, 0);
    int error = errno;
    close(root);
    errno = error;
    return fd;
}

/* The watched directory, if it is still at its path. It is not kept open, for
 * the kernel tells the end of a directory when nobody has it open. */
static int open_same_top(const struct watch *w) {
    struct stat st;
    int fd = open_top(w->where);
    if (fd < 0 || (fstat(fd, &st) == 0 && st.st_dev == w->device &&
                   st.st_ino == w->inode))
        return fd;
    close(fd);
    errno = ENOENT;
    return -1;
}

/* Opens a directory of the tree; -1: it is not there any more. */
static int open_dir(const struct watch *w, const struct watch_dir *d) {
    char path[PATH_MAX];
    int top = open_same_top(w);
    if (!d->parent || top < 0)
        return top;
    int fd = -1, error = ENAMETOOLONG;
    if (tree_path(d, NULL, path, sizeof path)) {
        fd = put_open_within(top, path,
                             O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK,
                             0, RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
        error = errno;
    }
    close(top);
    errno = error;
    return fd;
}

/* Has it watched: what happens from now on is told by the kernel. False: it is
 * not there, or is known by another name, as a move is about to be told. */
static bool watch_dir(struct watch *w, struct watch_dir *d, int fd) {
    char name[64];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    int number = inotify_add_watch(w->inotify, name, MASK);
    if (number < 0 && (errno == ENOENT || errno == ENOTDIR || errno == EACCES))
        return false;
    if (number < 0) {
        give_up_errno(w, "cannot watch all directories");
        return false;
    }
    const struct watch_dir *known = tree_find(&w->tree, number);
    if (known)
        return known == d;
    if (tree_set_number(&w->tree, d, number) == 0)
        return true;
    give_up(w, 507, "out of memory");
    return false;
}

/* Other file systems are not watched. What is gone, or is known by another
 * name, stays in the tree without a number: an event that says where it went is
 * about to be told, and doubt() has it scanned there. */
static void cannot_scan(struct watch *w, struct watch_dir *d) {
    bool too_many = errno == EMFILE || errno == ENFILE || errno == ENOMEM;
    if (w->failed)
        return;
    if (too_many || !d->parent)
        give_up_errno(w, "cannot watch all directories");
    else if (errno == ENAMETOOLONG)
        tell(w, WATCH_OVERFLOW, false, "", "");
    d->scanned = w->last_scan = now_ms();
    w->lost = true;
    w->tries_again = w->tries_again || d->tries < TRIES;
}

static void begin_scan(struct watch *w, struct watch_dir *d) {
    int fd = open_dir(w, d);
    if (fd < 0 || !watch_dir(w, d, fd)) {
        int error = errno;
        if (fd >= 0)
            close(fd);
        errno = error;
        cannot_scan(w, d);
        return;
    }
    d->scanned = w->last_scan = now_ms();
    bool children = w->recursive || d->is_new;
    w->scanning = children ? fdopendir(fd) : NULL;
    w->scanned = w->scanning ? d : NULL;
    if (!w->scanning)
        close(fd);
}

static bool is_directory(const struct watch *w, const struct dirent *e) {
    struct stat st;
    if (e->d_type != DT_UNKNOWN)
        return e->d_type == DT_DIR;
    return fstatat(dirfd(w->scanning), e->d_name, &st, AT_SYMLINK_NOFOLLOW) ==
               0 &&
           S_ISDIR(st.st_mode);
}

static void add_dir(struct watch *w, struct watch_dir *parent, const char *name,
                    bool is_new) {
    if (!w->recursive || tree_child(parent, name))
        return;
    if (!tree_add(&w->tree, parent, name, is_new))
        give_up(w, 507, "out of memory");
}

/* One entry. */
static void scan_entry(struct watch *w) {
    struct watch_dir *d = w->scanned;
    char path[PATH_MAX];
    errno = 0;
    const struct dirent *e = readdir(w->scanning);
    if (!e) {
        if (errno && errno != ENOENT)
            give_up_errno(w, "cannot read a directory");
        closedir(w->scanning);
        w->scanning = NULL;
        w->scanned = NULL;
        d->is_new = false;
        return;
    }
    if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
        return;
    bool is_dir = is_directory(w, e);
    if (d->is_new && tree_path(d, e->d_name, path, sizeof path)) {
        told_note(&w->told, d->number, e->d_name);
        tell(w, WATCH_CREATED, is_dir, path, "");
    }
    if (is_dir)
        add_dir(w, d, e->d_name, d->is_new);
}

/* ---- events ---- */

static int open_inotify(struct watch *w) {
    w->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (w->inotify < 0)
        give_up_errno(w, "cannot watch");
    return w->inotify < 0 ? -1 : 0;
}

static void drop_moves(struct watch *w) {
    while (w->move_count > 0)
        free(w->moves[--w->move_count]);
}

/* Events were lost: what is known of the tree may be wrong. */
static void begin_anew(struct watch *w) {
    if (w->scanning)
        closedir(w->scanning);
    w->scanning = NULL;
    w->scanned = NULL;
    w->at = w->length = 0;
    drop_moves(w);
    told_forget(&w->told);
    close(w->inotify);
    w->inotify = -1;
    tree_close(&w->tree);
    if (open_inotify(w) == 0 && tree_open(&w->tree) < 0)
        give_up(w, 507, "out of memory");
    else if (!w->failed)
        tell(w, WATCH_OVERFLOW, false, "", "");
}

/* The first half of a move; move_count: it is not known. */
static size_t find_move(const struct watch *w, uint32_t cookie) {
    size_t i = 0;
    while (i < w->move_count && w->moves[i]->cookie != cookie)
        i++;
    return i;
}

static void end_move(struct watch *w, size_t i) {
    free(w->moves[i]);
    w->moves[i] = w->moves[--w->move_count];
}

/* It went out of the tree. */
static void tell_left(struct watch *w, size_t i) {
    struct move *m = w->moves[i];
    if (m->dir)
        remove_dir(w, m->dir);
    tell(w, WATCH_DELETED, m->is_dir, m->path, "");
    end_move(w, i);
}

/* Whether another directory is at its path than the one that was scanned. If
 * none is there, it goes on moving, and is looked at again then. */
static bool is_another(const struct watch *w, struct watch_dir *d) {
    char name[64];
    int fd = open_dir(w, d);
    if (fd < 0) {
        d->scanned = now_ms();
        return false;
    }
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    int number = inotify_add_watch(w->inotify, name, MASK);
    close(fd);
    if (number >= 0 && !tree_find(&w->tree, number))
        inotify_rm_watch(w->inotify, number);
    return number != d->number;
}

/* Directories are opened by their paths. One that was scanned lately may have
 * been another by then, which came to this path after a move of which the
 * kernel tells only now. Then what was told of it is taken back, and it is
 * scanned again. */
static void doubt(struct watch *w, struct watch_dir *top) {
    if (!w->lost && w->last_scan < w->doubt_since)
        return;
    for (struct watch_dir *d = top, *next; d; d = next) {
        bool doubtful =
            d->number >= 0 && d->scanned >= w->doubt_since && is_another(w, d);
        if (doubtful || (d->number < 0 && !d->waits)) {
            tree_reset(&w->tree, d, unwatch, w);
            d->again = doubtful ? 2 : d->again;
            d->is_new = d->is_new || doubtful;
        }
        next = tree_next(d, top, !doubtful);
    }
}

/* False: there is more to tell before it is scanned. */
static bool tell_again(struct watch *w, struct watch_dir *d) {
    char path[PATH_MAX];
    if (d->again == 0 || !tree_path(d, NULL, path, sizeof path))
        return true;
    tell(w, d->again == 2 ? WATCH_DELETED : WATCH_CREATED, true, path, "");
    d->again--;
    return false;
}

static void note_move(struct watch *w, const struct inotify_event *e,
                      struct watch_dir *d, const char *path) {
    struct move *m = w->move_count < MOVES_MAX ? calloc(1, sizeof *m) : NULL;
    struct watch_dir *dir = e->mask & IN_ISDIR ? tree_child(d, e->name) : NULL;
    told_again(&w->told, d->number, e->name);
    if (!m) {
        if (dir)
            remove_dir(w, dir);
        tell(w, WATCH_DELETED, e->mask & IN_ISDIR, path, "");
        return;
    }
    m->cookie = e->cookie;
    m->is_dir = e->mask & IN_ISDIR;
    m->since = now_ms();
    m->dir = dir;
    snprintf(m->path, sizeof m->path, "%s", path);
    w->moves[w->move_count++] = m;
}

static void come(struct watch *w, const struct inotify_event *e,
                 struct watch_dir *d, const char *path) {
    struct watch_dir *old = tree_child(d, e->name);
    /* It may have come in the place of what was scanned. */
    bool replaces = old && old->number >= 0 && e->mask & IN_MOVED_TO;
    if (told_again(&w->told, d->number, e->name) &&
        !(replaces && is_another(w, old)))
        return;
    if (old)
        remove_dir(w, old);
    tell(w, WATCH_CREATED, e->mask & IN_ISDIR, path, "");
    if (e->mask & IN_ISDIR)
        add_dir(w, d, e->name, true);
}

static void moved_to(struct watch *w, const struct inotify_event *e,
                     struct watch_dir *d, const char *path) {
    size_t i = find_move(w, e->cookie);
    if (i == w->move_count) {
        come(w, e, d, path);
        return;
    }
    struct move *m = w->moves[i];
    struct watch_dir *old = tree_child(d, e->name);
    if (old && old != m->dir)
        remove_dir(w, old);
    tell(w, WATCH_MOVED, m->is_dir, path, m->path);
    /* Nothing is being scanned while events are taken. */
    struct watch_dir *moved =
        m->dir ? tree_move(&w->tree, m->dir, d, e->name) : NULL;
    if (moved)
        doubt(w, moved);
    else if (m->is_dir)
        add_dir(w, d, e->name, true);
    end_move(w, i);
}

static void gone(struct watch *w, const struct inotify_event *e,
                 const struct watch_dir *d, const char *path) {
    struct watch_dir *dir = e->mask & IN_ISDIR ? tree_child(d, e->name) : NULL;
    told_again(&w->told, d->number, e->name);
    if (dir)
        remove_dir(w, dir);
    tell(w, WATCH_DELETED, e->mask & IN_ISDIR, path, "");
}

static void handle_named(struct watch *w, const struct inotify_event *e,
                         struct watch_dir *d) {
    char path[PATH_MAX];
    bool is_dir = e->mask & IN_ISDIR;
    if (!tree_path(d, e->name, path, sizeof path))
        tell(w, WATCH_OVERFLOW, false, "", "");
    else if (e->mask & IN_CREATE)
        come(w, e, d, path);
    else if (e->mask & IN_MOVED_FROM)
        note_move(w, e, d, path);
    else if (e->mask & IN_MOVED_TO)
        moved_to(w, e, d, path);
    else if (e->mask & IN_DELETE)
        gone(w, e, d, path);
    else if (e->mask & IN_MODIFY)
        tell(w, WATCH_MODIFIED, is_dir, path, "");
    else if (e->mask & IN_CLOSE_WRITE)
        tell(w, WATCH_WRITTEN, is_dir, path, "");
    else if (e->mask & IN_ATTRIB && (!is_dir || !w->recursive))
        tell(w, WATCH_ATTRIBUTES, is_dir, path, "");
}

static void handle_event(struct watch *w, const struct inotify_event *e) {
    struct watch_dir *d = tree_find(&w->tree, e->wd);
    char path[PATH_MAX];
    if (e->mask & IN_Q_OVERFLOW)
        begin_anew(w);
    else if (!d)
        return; /* of a directory that was removed from the tree */
    else if (e->len > 0)
        handle_named(w, e, d);
    else if (!d->parent && e->mask & (IN_DELETE_SELF | IN_MOVE_SELF))
        give_up(w, 404, "the watched directory was removed or renamed");
    else if (e->mask & IN_ATTRIB && tree_path(d, NULL, path, sizeof path))
        tell(w, WATCH_ATTRIBUTES, true, path, "");
}

/* Directories that were not where the tree has them: it knows better by now. */
static void look_again(struct watch *w) {
    w->tries_again = false;
    for (struct watch_dir *d = w->tree.root; d;
         d = tree_next(d, w->tree.root, true)) {
        if (d->number >= 0 || d->waits || d->tries >= TRIES)
            continue;
        d->tries++;
        tree_reset(&w->tree, d, unwatch, w);
    }
}

/* No event waits. What others see already may be told a moment later. */
static void all_was_read(struct watch *w) {
    w->doubt_since = now_ms() - MOVE_MS;
    if (w->tries_again && w->move_count == 0 &&
        (w->finishing || w->last_scan < w->doubt_since))
        look_again(w);
    if (w->last_scan < w->doubt_since)
        told_forget(&w->told);
}

/* The path at which something comes now; false: nothing does. */
static bool comes_at(const struct watch *w, const struct inotify_event *e,
                     char path[PATH_MAX]) {
    const struct watch_dir *d = tree_find(&w->tree, e->wd);
    return e->mask & (IN_CREATE | IN_MOVED_TO) && d && e->len > 0 &&
           tree_path(d, e->name, path, PATH_MAX);
}

static bool is_below(const char *path, const char *top) {
    size_t length = strlen(top);
    return strncmp(path, top, length) == 0 && path[length] == '/';
}

/* What went out of the tree is forgotten before something else comes to its
 * place, or to that of a directory that it was in, and before such a directory
 * moves. So is a directory that comes in again by another way: it has the same
 * number. */
static bool tell_one_before(struct watch *w, const struct inotify_event *e) {
    char path[PATH_MAX];
    if (w->move_count == 0 || !comes_at(w, e, path))
        return false;
    size_t other = find_move(w, e->cookie);
    bool is_known = other < w->move_count;
    const char *from = is_known ? w->moves[other]->path : path;
    for (size_t i = 0; i < w->move_count; i++) {
        const char *left = w->moves[i]->path;
        if (i != other && (strcmp(left, path) == 0 || is_below(left, path) ||
                           is_below(left, from))) {
            tell_left(w, i);
            return true;
        }
    }
    if (is_known || !(e->mask & IN_ISDIR))
        return false;
    tell_left(w, 0);
    return true;
}

/* One event; false: none is there now. */
static bool take_event(struct watch *w) {
    if (w->at == w->length) {
        ssize_t n = read(w->inotify, w->events, sizeof w->events);
        if (n <= 0) {
            all_was_read(w);
            return w->tree.scan != NULL;
        }
        w->at = 0;
        w->length = (size_t)n;
    }
    const struct inotify_event *e =
        (const struct inotify_event *)(w->events + w->at);
    if (tell_one_before(w, e))
        return true;
    w->at += sizeof *e + e->len;
    handle_event(w, e);
    return true;
}

static bool tell_one_left(struct watch *w) {
    int64_t limit = w->finishing ? INT64_MAX : now_ms() - MOVE_MS;
    for (size_t i = 0; i < w->move_count; i++)
        if (w->moves[i]->since <= limit) {
            tell_left(w, i);
            return true;
        }
    return false;
}

/* ---- a watch ---- */

/* One small step; false: there is nothing to do now. The directories are
 * scanned before events are taken, so that those find the tree as it is. */
static bool step(struct watch *w) {
    if (w->scanning) {
        scan_entry(w);
        return true;
    }
    if (w->tree.scan) {
        if (tell_again(w, w->tree.scan))
            begin_scan(w, tree_next_scan(&w->tree));
        return true;
    }
    if (!w->ready) {
        w->ready = true;
        tell(w, WATCH_READY, false, "", "");
        return true;
    }
    return take_event(w) || tell_one_left(w);
}

static bool can_step(const struct watch *w) {
    return w->packet_length == 0 && !w->failed &&
           (w->scanning || w->tree.scan || !w->ready || w->at < w->length);
}

static void watch_free(struct watch *w) {
    if (w->scanning)
        closedir(w->scanning);
    tree_close(&w->tree);
    told_forget(&w->told);
    drop_moves(w);
    if (w->inotify >= 0)
        close(w->inotify);
    free(w->where);
    close(w->out);
    free(w);
}

static void refuse(int out) {
    struct watch_packet p = {.kind = WATCH_FAILED, .status = 429};
    static const char why[] = "the sandbox has as many watches as it may\0";
    memcpy(p.text, why, sizeof why);
    send(out, &p, offsetof(struct watch_packet, text) + sizeof why,
         MSG_NOSIGNAL | MSG_DONTWAIT);
    close(out);
}

static int remember_top(struct watch *w) {
    struct stat st;
    int fd = open_top(w->where), rc = fd < 0 ? -1 : fstat(fd, &st);
    if (rc == 0) {
        w->device = st.st_dev;
        w->inode = st.st_ino;
    }
    int error = errno;
    if (fd >= 0)
        close(fd);
    errno = error;
    return rc;
}

void watch_start(struct watches *all, const char *path, bool recursive,
                 int out) {
    struct watch *w = all->count < WATCHES_MAX ? calloc(1, sizeof *w) : NULL;
    if (!w) {
        refuse(out);
        return;
    }
    w->out = out;
    w->recursive = recursive;
    w->inotify = -1;
    w->where = strdup(path);
    if (!w->where)
        give_up(w, 507, "out of memory");
    else if (remember_top(w) < 0)
        give_up_errno(w, path);
    else if (open_inotify(w) == 0 && tree_open(&w->tree) < 0)
        give_up(w, 507, "out of memory");
    w->next = all->list;
    all->list = w;
    all->count++;
}

size_t watches_polls(const struct watches *all, struct pollfd p[WATCH_POLLS],
                     int *timeout) {
    size_t n = 0;
    for (const struct watch *w = all->list; w; w = w->next) {
        /* A closed socket is told in any case. */
        p[n++] = (struct pollfd){.fd = w->out,
                                 .events = w->packet_length ? POLLOUT : 0};
        if (w->packet_length == 0 && !can_step(w) && !w->failed)
            p[n++] = (struct pollfd){.fd = w->inotify, .events = POLLIN};
        if (can_step(w))
            *timeout = 0;
        else if ((w->move_count > 0 || w->tries_again) &&
                 w->packet_length == 0 && *timeout != 0)
            *timeout = MOVE_MS;
    }
    return n;
}

static bool is_over(const struct watch *w) {
    return w->ended || (w->failed && w->packet_length == 0);
}

static bool has_reader(const struct watch *w) {
    struct pollfd p = {.fd = w->out};
    return poll(&p, 1, 0) <= 0 || !(p.revents & (POLLHUP | POLLERR));
}

void watches_work(struct watches *all) {
    struct watch **at = &all->list;
    while (*at) {
        struct watch *w = *at;
        for (int i = 0; i < STEPS && flush(w) && !is_over(w) && step(w); i++)
            continue;
        if (!is_over(w) && has_reader(w)) {
            at = &w->next;
            continue;
        }
        *at = w->next;
        all->count--;
        watch_free(w);
    }
}

/* Tell what is left, and wait a moment if the engine has to read first. */
static void finish(struct watch *w, int64_t until, int *waits) {
    struct pollfd p = {.fd = w->out, .events = POLLOUT};
    w->finishing = true;
    while (flush(w) && !is_over(w) && now_ms() < until)
        if (!step(w)) {
            tell(w, WATCH_END, false, "", "");
            w->failed = true;
        }
    if (is_over(w))
        return;
    if (--*waits < 0 || (poll(&p, 1, MOVE_MS) < 0 && errno != EINTR))
        w->ended = true;
}

void watches_finish(struct watches *all) {
    int64_t until = now_ms() + FINISH_MS;
    int waits = WAITS;
    while (all->list && now_ms() < until) {
        struct watch *w = all->list;
        finish(w, until, &waits);
        if (!is_over(w))
            continue;
        all->list = w->next;
        watch_free(w);
    }
}
