/* transfer.h: contree-engine import and export: alone with the data directory,
 * or by the engine that serves it. */
#ifndef CONTREE_COMMAND_TRANSFER_H
#define CONTREE_COMMAND_TRANSFER_H

#include "base/fault.h"
#include "command/options.h"

/* The commands. An import prints the image's uuid. */
int import_command(const struct options *o, struct fault *f);
int export_command(const struct options *o, struct fault *f);

#endif
