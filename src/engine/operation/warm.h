/* warm.h: sandboxes whose root is mounted and entered before a run asks for
 * one: then a run waits for its own processes only. Loop thread only.
 *
 * The next run is expected to have the root of the one that began last or, if
 * that was kept, the root that it made. When a run came as expected, sandboxes
 * for the next one are made ahead. So runs of ever changing images cost nothing
 * more. */
#ifndef CONTREE_OPERATION_WARM_H
#define CONTREE_OPERATION_WARM_H

#include "operation/root.h"

struct warm_pool;

/* NULL: out of memory. */
struct warm_pool *warm_open(struct engine *e);
/* Call it when warm_count() is 0. */
void warm_close(struct warm_pool *p);

/* A run begins: the next one is expected to have its root. If a sandbox with
 * that root is there, hand it out with its workspace, both owned by the caller
 * from now on: `callbacks` are called for what happens to it afterwards.
 * *started: its `started` has come already. */
struct sandbox *warm_take(struct warm_pool *p, const struct root *root,
                          const struct sandbox_callbacks *callbacks, void *arg,
                          struct workspace *out, bool *started);
/* A run with `root` has ended: have `count` sandboxes for the next one, if that
 * is expected to have the same root and the last run came as expected. */
void warm_fill(struct warm_pool *p, const struct root *root, size_t count);
/* The same for a run that made another root: the next one is expected to have
 * `made`, if no other has begun meanwhile. */
void warm_follow(struct warm_pool *p, const struct root *root,
                 const struct root *made, size_t count);
/* Kill all, and expect nothing. */
void warm_drop(struct warm_pool *p);
/* How many there are, with those that are being killed. */
size_t warm_count(const struct warm_pool *p);

#endif
