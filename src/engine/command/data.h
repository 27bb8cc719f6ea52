/* data.h: the data directory of an engine or of a command that works alone. */
#ifndef CONTREE_COMMAND_DATA_H
#define CONTREE_COMMAND_DATA_H

#include "base/fault.h"
#include "operation/engine.h"

/* Makes the directory with its parents, and opens it: it must be ours alone,
 * and writable. Its descriptor, or -1. */
int data_directory(const char *path, struct fault *f);
/* Takes the lock below e->dir_fd, and fills store and layers. 409 and no store
 * when an engine serves the directory. */
int data_open_store(struct engine *e, struct fault *f);
/* Opens the data directory of e->config alone: enters the user namespace, fills
 * ids and dir_fd, and calls data_open_store(). data_close() in any case. */
int data_open(struct engine *e, struct fault *f);
void data_close(struct engine *e);

#endif
