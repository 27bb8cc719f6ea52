/* doctor.h: what this machine can and cannot do, in plain words. */
#ifndef CONTREE_COMMAND_DOCTOR_H
#define CONTREE_COMMAND_DOCTOR_H

#include "operation/engine.h"
#include <stdio.h>

/* Prints one line for each thing a run may need: ok, limited or missing, what
 * follows from it, and one fix. Checks what `serve` checks, by the same
 * functions, and makes a real sandbox with the configured runtime. Returns 0 if
 * an engine with this configuration can serve and run, else 1. Call it instead
 * of the engine, in a fresh process. */
int doctor_run(FILE *out, const struct engine_config *config);

#endif
