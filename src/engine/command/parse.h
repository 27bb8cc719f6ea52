/* parse.h: reads the command line: COMMAND [OPTIONS] [OPERAND]. */
#ifndef CONTREE_COMMAND_PARSE_H
#define CONTREE_COMMAND_PARSE_H

#include "base/fault.h"
#include "command/options.h"

/* Read argv, and set the defaults. `commands` ends with a NULL name. The
 * strings live as long as argv and `out`. A refusal is 400; its message has the
 * wrong word, the nearest right one, and the help to read. */
int options_parse(const struct command *commands, int argc, char *const argv[],
                  struct options *out, struct fault *f);
/* Find a command by its name: NULL with 400. */
const struct command *command_find(const struct command *commands,
                                   const char *name, struct fault *f);

#endif
