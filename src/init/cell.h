/* cell.h: PID 1 of fresh namespaces, on its way to become a sandbox. A wall
 * that cannot be built is a failure. */
#ifndef CONTREE_INIT_CELL_H
#define CONTREE_INIT_CELL_H

#include "init/failure.h"
#include "init/spec.h"

/* Reads the filter from a memfd: struct sock_filter[]. */
int cell_load_filter(struct cell_limits *limits, int fd, struct failure *f);
/* Does what a cell can do before it knows what it will run. */
int cell_prepare(const struct cell_limits *limits, struct failure *f);
/* Enters the root, and sets the host name and the limits. All privileges are
 * gone then. *listener: of the filter, which must get to the engine before this
 * process opens anything; -1 if it is not traced. */
int cell_enter(const struct cell_limits *limits, const struct root_spec *root,
               int *listener, struct failure *f);

/* The parts of cell_enter() that remain when a runtime makes the sandbox.
 * Outside, mount the root at RUNTIME_ROOT: */
int cell_mount(const struct root_spec *root, struct failure *f);
/* Inside, close the way to new privileges: */
int cell_settle(struct failure *f);
/* Inside, set the limits and drop all privileges; *listener as above: */
int cell_confine(const struct cell_limits *limits, const struct root_spec *root,
                 int *listener, struct failure *f);

#endif
