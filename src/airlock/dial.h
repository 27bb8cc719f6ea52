/* dial.h: the connection to where a sandbox's connection wants to go. */
#ifndef CONTREE_AIRLOCK_DIAL_H
#define CONTREE_AIRLOCK_DIAL_H

#include "airlock/policy/policy.h"
#include "airlock/resolve.h"
#include <uv.h>

struct dial;

/* Resolves the target's name, if it has one, drops the addresses that the
 * policy refuses, and connects to the others, one after the other. Calls back
 * once from the loop: with a socket, which becomes the caller's, and its
 * address; or with -1 and why. NULL: out of memory. */
struct dial *dial_start(uv_loop_t *loop, struct resolver *r,
                        const struct policy *p, const struct target *t,
                        void (*done)(void *arg, int fd,
                                     const struct address *to,
                                     enum refusal why),
                        void *arg);
/* Nothing is called any more. Not inside done(). */
void dial_cancel(struct dial *d);

#endif
