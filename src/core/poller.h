/* poller.h: one descriptor that is readable when any of many is ready, or at a
 * given moment. Linux only; elsewhere (or with CONTREE_NO_POLLER) poller_open()
 * fails with ENOSYS. */
#ifndef CONTREE_POLLER_H
#define CONTREE_POLLER_H

#include <stdbool.h>

#pragma GCC visibility push(hidden)

/* -1 where there is none. */
struct poller {
    int set;   /* the descriptor that hosts watch */
    int timer; /* in the set, made when first armed */
};

enum { POLLER_READ = 1, POLLER_WRITE = 2, POLLER_ERROR = 4 };

struct poller_event {
    int fd;
    int what;
};

/* False with errno set. */
bool poller_open(struct poller *poller);
void poller_close(struct poller *poller);
/* Watches `fd` for `what` (bits POLLER_...); `known`: it is watched already.
 * False with errno set. */
bool poller_watch(struct poller *poller, int fd, int what, bool known);
/* Stops watching; of no effect when `fd` is not watched or was closed. */
void poller_forget(struct poller *poller, int fd);
/* Makes the set readable in `seconds` (0: at once; below 0: never). False
 * with errno set. */
bool poller_arm(struct poller *poller, double seconds);
/* Waits up to `milliseconds` (-1: for ever) and stores what happened to
 * watched descriptors; the number of stored events, or -1 with errno set. */
int poller_wait(struct poller *poller, struct poller_event *events, int room,
                int milliseconds);

#pragma GCC visibility pop

#endif
