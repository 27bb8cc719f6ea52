/* turn.h: a turn of a loop, in which libcurl and every transfer do what can be
 * done without waiting. */
#ifndef CONTREE_TURN_H
#define CONTREE_TURN_H

#include "multi.h"

#pragma GCC visibility push(hidden)

/* Tells libcurl of these events, and does what is due. */
void turn_run(struct multi *multi, const struct poller_event *events,
              int count);
/* Does only what libcurl has planned for now, such as starting transfers. */
void turn_run_due(struct multi *multi);
/* Ends every unfinished transfer with this error. */
void turn_abort_all(struct multi *multi, const char *kind, const char *message);

#pragma GCC visibility pop

#endif
