/* doctor.h: what this machine can and cannot do, in plain words. */
#ifndef CONTREE_DOCTOR_H
#define CONTREE_DOCTOR_H

#include "runtime.h"
#include <stdio.h>

/* Prints one line for each thing a run may need: ok, limited or missing, what
 * follows from it, and one fix. Makes a real sandbox to know, with `runtime`
 * unless it is NULL. Returns 0 if runs can work, else 1. Call it instead of the
 * engine, in a fresh process. */
int doctor_run(FILE *out, const char *data_dir, const struct runtime *runtime);

#endif
