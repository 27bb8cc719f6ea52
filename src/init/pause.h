/* pause.h: stopping all processes of the sandbox, and letting them go on. */
#ifndef CONTREE_INIT_PAUSE_H
#define CONTREE_INIT_PAUSE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* What is remembered while the processes are paused. */
struct pause {
    bool on;
    bool stopping;  /* some may still be in the middle of a system call */
    double since;   /* monotonic seconds */
    pid_t *stopped; /* processes that were stopped before; owned */
    size_t count;
};

enum pause_news { PAUSE_NONE, PAUSE_STOPPED, PAUSE_LATE };

/* Stop all processes but this one, at one moment: none can fork away. Call
 * pause_look() until it has news, every few milliseconds while `stopping`. */
void pause_all(struct pause *p, double now);
/* PAUSE_STOPPED: all have stopped, so nothing is written any more. PAUSE_LATE:
 * one has not stopped in time. Once each, then PAUSE_NONE. */
enum pause_news pause_look(struct pause *p, double now);
/* Let all go on, except those that had been stopped before: children before
 * their parents, which so do not notice that they were stopped. */
void resume_all(struct pause *p);

#endif
