/* turn.h: how long one turn of the loop takes.
 *
 * While the loop works for one, all others wait. So whatever is fed by a
 * sandbox, a client or a child process is taken in pieces, and nobody takes a
 * second piece when the turn is long already. */
#ifndef CONTREE_TURN_H
#define CONTREE_TURN_H

#include <stdbool.h>
#include <uv.h>

/* Whether this turn has taken so long that what can wait should. */
bool turn_is_long(const uv_loop_t *loop);

/* With CONTREE_STRICT=1: ends the program, telling where, when the loop has
 * computed for TURN_MAX_MS without asking for events. What counts is processor
 * time of the loop's own thread, so that a busy machine is no mistake; what it
 * waits for in a system call does not count. Sanitizers get more. */
void turn_guard(uv_loop_t *loop);
void turn_unguard(void);
enum { TURN_MAX_MS = 50 };

#endif
