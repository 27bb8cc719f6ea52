/* purge.h: contree-engine purge. */
#ifndef CONTREE_COMMAND_PURGE_H
#define CONTREE_COMMAND_PURGE_H

#include "base/fault.h"
#include "command/options.h"

/* Remove a data directory, also files of subordinate ids, which its user could
 * not remove with rm. Files that no engine made stay. 400 without --yes, 404 if
 * there is no data directory, 409 if an engine serves it. */
int purge_command(const struct options *o, struct fault *f);

#endif
