/* commands.h: the commands of contree-engine. */
#ifndef CONTREE_COMMAND_COMMANDS_H
#define CONTREE_COMMAND_COMMANDS_H

#include "command/options.h"

/* Ends with a NULL name. A new command is a file and a row here. */
extern const struct command commands[];

#endif
