/* turn.h: how long one turn of the loop takes.
 *
 * While the loop works for one client, all others wait. So data from a sandbox,
 * a client or a child process is taken in pieces, and no second piece is taken
 * in a turn that is long already. */
#ifndef CONTREE_BASE_TURN_H
#define CONTREE_BASE_TURN_H

#include <stdbool.h>
#include <uv.h>

/* Whether this turn is long already: put off what can wait. False for a loop
 * that is not watched. */
bool turn_is_long(const uv_loop_t *loop);

/* Measures the turns of a loop, from its own thread. With CONTREE_STRICT=1 the
 * program ends, telling where, when one takes TURN_MAX_MS; with sanitizers some
 * more, and CONTREE_TEST_SLOWNESS=N, for an emulated machine, N times as long.
 * What counts is processor time of the thread, so that a busy machine is no
 * mistake; time in which it sleeps in a system call does not count. */
void turn_watch(uv_loop_t *loop);
void turn_unwatch(void);
enum { TURN_MAX_MS = 50 };

#endif
