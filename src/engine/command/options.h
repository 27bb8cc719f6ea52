/* options.h: the command line of contree-engine. */
#ifndef CONTREE_COMMAND_OPTIONS_H
#define CONTREE_COMMAND_OPTIONS_H

#include "base/fault.h"
#include "layer/gc.h"
#include "operation/engine.h"

struct options {
    const char *command; /* "serve", "doctor", ... */
    bool help;
    const char *operand; /* what to import, or the image to export */
    const char *tag, *token_file, *output, *oci;
    bool yes;                               /* purge */
    char data_dir[4096], socket_path[4096]; /* what config points to */
    struct gc_options gc;
    bool runtime_given, socket_given;
    struct runtime runtime; /* what config points to, if any */
    struct engine_config config;
};

/* Reads argv and fills in the defaults; strings live as long as argv and `out`.
 * 400 with what is wrong, and the nearest name there is. */
int options_parse(int argc, char *const argv[], struct options *out,
                  struct fault *f);
/* Prints the usage of a command, or of all when it is NULL, to stdout. */
void options_help(const char *command);

#endif
