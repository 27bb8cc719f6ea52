/* doctor.h: contree-engine doctor. */
#ifndef CONTREE_COMMAND_DOCTOR_H
#define CONTREE_COMMAND_DOCTOR_H

#include "base/fault.h"
#include "command/options.h"

/* Check what `serve` checks, by the same functions, and run one sandbox with
 * the configured runtime. Print a line for each finding: ok, limited or
 * missing, with one fix. Returns 0 if an engine with this configuration can
 * serve and run, else 1. Call it in a fresh process. */
int doctor_command(const struct options *o, struct fault *f);

#endif
