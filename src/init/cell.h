/* cell.h: PID 1 of fresh namespaces, on its way to become a sandbox. A wall
 * that cannot be built is a failure. */
#ifndef CONTREE_INIT_CELL_H
#define CONTREE_INIT_CELL_H

#include "init/failure.h"
#include "init/spec.h"

/* Does what a cell can do before it knows what it will run. */
int cell_prepare(const struct cell_limits *limits, struct failure *f);
/* Enters the root, and sets the host name and the limits. All privileges are
 * gone then. */
int cell_enter(const struct cell_limits *limits, const struct root_spec *root,
               struct failure *f);

/* The parts of cell_enter() that remain when a runtime makes the sandbox.
 * Outside, mount the root at RUNTIME_ROOT: */
int cell_mount(const struct root_spec *root, struct failure *f);
/* Inside, close the way to new privileges: */
int cell_settle(struct failure *f);
/* Inside, set the limits and drop all privileges: */
int cell_confine(const struct cell_limits *limits, const struct root_spec *root,
                 struct failure *f);

#endif
