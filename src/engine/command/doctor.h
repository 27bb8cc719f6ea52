/* doctor.h: what this machine can and cannot do, in plain words. */
#ifndef CONTREE_COMMAND_DOCTOR_H
#define CONTREE_COMMAND_DOCTOR_H

#include "base/fault.h"
#include "command/options.h"

/* Prints one line for each thing a run may need: ok, limited or missing, what
 * follows from it, and one fix. Checks what `serve` checks, by the same
 * functions, and makes a real sandbox with the configured runtime. Returns 0 if
 * an engine with this configuration can serve and run, else 1. Call it in a
 * fresh process. */
int doctor_command(const struct options *o, struct fault *f);

#endif
