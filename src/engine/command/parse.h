/* parse.h: reads the command line: COMMAND [OPTIONS] [OPERAND]. */
#ifndef CONTREE_COMMAND_PARSE_H
#define CONTREE_COMMAND_PARSE_H

#include "base/fault.h"
#include "command/options.h"

/* Reads argv and fills in the defaults; strings live as long as argv and `out`.
 * `commands` ends with a NULL name. 400 with the wrong word, the nearest right
 * one if there is one, and where to read on. */
int options_parse(const struct command *commands, int argc, char *const argv[],
                  struct options *out, struct fault *f);
/* The command of that name; NULL with 400. */
const struct command *command_find(const struct command *commands,
                                   const char *name, struct fault *f);

#endif
