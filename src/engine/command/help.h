/* help.h: the usage of contree-engine, on standard output. */
#ifndef CONTREE_COMMAND_HELP_H
#define CONTREE_COMMAND_HELP_H

#include "command/options.h"

/* Print all commands. */
void help_print(const struct command *commands);
/* Print one command with its options. */
void help_print_command(const struct command *c);

#endif
