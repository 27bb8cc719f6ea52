/* airlock.h: the network of a sandbox that may reach what rules allow, and
 * nothing else: contree-airlock, in a process of its own. It handles the
 * hostile bytes; the engine only reads its reports, which it does not trust
 * either. */
#ifndef CONTREE_SANDBOX_AIRLOCK_H
#define CONTREE_SANDBOX_AIRLOCK_H

#include "base/fault.h"
#include <jansson.h>
#include <stdbool.h>
#include <uv.h>

struct airlock;

/* All are called from the loop, never from inside an airlock_* call. */
struct airlock_callbacks {
    /* The network is there, or the failure (503). Called once, unless the
     * airlock is told to finish before. */
    void (*connected)(void *arg, const struct fault *why);
    /* A report of what it refused or connected, as docs/inside/c/airlock.md
     * has it: an object whose member `event` is a string. Nothing else of it
     * has been checked. */
    void (*told)(void *arg, const json_t *report);
    /* It has ended, and its last report was told. `lost`: nobody had told it
     * to. The airlock is freed after this call, which is the last one. */
    void (*ended)(void *arg, bool lost);
    /* The certificate that its sandbox has to trust: called before connected,
     * if there is one. */
    void (*certified)(void *arg, const char *pem);
};

/* Connects the network namespace `net` by the rules that the file `rules`
 * holds, from its beginning. Takes both descriptors over, also on failure, but
 * not `program`, which is contree-airlock. */
struct airlock *airlock_start(uv_loop_t *loop, int program, int net, int rules,
                              const struct airlock_callbacks *on, void *arg,
                              struct fault *f);
/* Has it end: its connections are closed at once, then it tells what it has not
 * told yet. ended() follows, in three seconds at most. A second call does
 * nothing.
 */
void airlock_finish(struct airlock *a);

/* Tells it a line, which ends with a newline: the answer to a report `sign`.
 * 429: it has to take others first; 409: it has ended. */
int airlock_answer(struct airlock *a, const char *line, size_t length,
                   struct fault *f);

/* A file for `rules`, in memory: the JSON text. -1 with the fault. */
int airlock_rules(const char *text, struct fault *f);

#endif
