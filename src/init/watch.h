/* watch.h: telling the engine what changes in a directory of the sandbox.
 *
 * Init does this between its orders, in small steps that do not wait: it walks
 * the tree once to have all directories watched, then passes on what inotify
 * tells. When the engine reads too slowly it takes no more events from the
 * kernel, whose queue overflows at last: that is an event, too. */
#ifndef CONTREE_INIT_WATCH_H
#define CONTREE_INIT_WATCH_H

#include "init/failure.h"

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

enum { WATCHES_MAX = 16, WATCH_POLLS = 2 * WATCHES_MAX };

struct watch;
struct watches {
    struct watch *list;
    size_t count;
};

/* Takes over `out`, a socket for packets (protocol.h), which is also told why
 * it fails. */
void watch_start(struct watches *all, const char *path, bool recursive,
                 int out);
/* What to wait for: fills `p`, and lowers *timeout (milliseconds; -1: none).
 * The number of entries. */
size_t watches_polls(const struct watches *all, struct pollfd p[WATCH_POLLS],
                     int *timeout);
/* Does a small step of the work of each. */
void watches_work(struct watches *all);
/* The sandbox ends: tell what has happened, if the engine takes it in time. */
void watches_finish(struct watches *all);

#endif
