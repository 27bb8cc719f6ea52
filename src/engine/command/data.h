/* data.h: the data directory of an engine, or of a command without one. */
#ifndef CONTREE_COMMAND_DATA_H
#define CONTREE_COMMAND_DATA_H

#include "base/fault.h"
#include "operation/engine.h"

/* Open the directory, which is made with its parents if it is missing. It must
 * be ours, closed to others, and writable. Its descriptor, or -1. */
int data_directory(const char *path, struct fault *f);
/* Take the lock in e->dir_fd, then open store and layers. 409, and no store, if
 * an engine serves the directory. */
int data_open_store(struct engine *e, struct fault *f);
/* Open the data directory of e->config for a command: enter the user namespace,
 * set ids and dir_fd, and call data_open_store(). Call data_close() in any
 * case. */
int data_open(struct engine *e, struct fault *f);
void data_close(struct engine *e);

#endif
