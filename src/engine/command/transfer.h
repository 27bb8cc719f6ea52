/* transfer.h: contree-engine import and export. An engine that serves the data
 * directory does the work; without one the command does it itself. */
#ifndef CONTREE_COMMAND_TRANSFER_H
#define CONTREE_COMMAND_TRANSFER_H

#include "base/fault.h"
#include "command/options.h"

/* An import prints the uuid of the image. */
int import_command(const struct options *o, struct fault *f);
int export_command(const struct options *o, struct fault *f);

#endif
