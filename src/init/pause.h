/* pause.h: stopping all processes of the sandbox, and letting them go on. */
#ifndef CONTREE_INIT_PAUSE_H
#define CONTREE_INIT_PAUSE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* What is remembered while the processes are paused. */
struct pause {
    bool on;
    pid_t *stopped; /* processes that were stopped before; owned */
    size_t count;
};

/* Stop all processes but this one, at one moment: none can fork away. Does
 * nothing if they are paused. */
void pause_all(struct pause *p);
/* Let all go on, except those that had been stopped before. */
void resume_all(struct pause *p);

#endif
