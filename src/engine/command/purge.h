/* purge.h: contree-engine purge. */
#ifndef CONTREE_COMMAND_PURGE_H
#define CONTREE_COMMAND_PURGE_H

#include "base/fault.h"
#include "command/options.h"

/* Removes a data directory and all that is in it, also what belongs to
 * subordinate ids, which its user can remove in no other way as easily. What is
 * not the engine's stays. 400 without --yes, 404 when there is no data
 * directory, 409 when an engine serves it. */
int purge_command(const struct options *o, struct fault *f);

#endif
