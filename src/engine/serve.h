/* serve.h: the commands of contree-engine that use a data directory. */
#ifndef CONTREE_SERVE_H
#define CONTREE_SERVE_H

#include "options.h"

/* Serves until a signal or idleness ends it; 0, or -1 when it could not begin.
 */
int serve(const struct options *o, struct fault *f);
/* Opens the data directory of e->config alone: enters the user namespace, takes
 * the lock, and fills ids, dir_fd, store and layers. 409 and no store when an
 * engine serves it. data_close() in any case. */
int data_open(struct engine *e, struct fault *f);
void data_close(struct engine *e);

#endif
