/* options.h: the command line of contree-engine, when it has been read.
 *
 * commands.c has the table of commands, settings.c the table of their options;
 * parse.c reads a command line by both. */
#ifndef CONTREE_COMMAND_OPTIONS_H
#define CONTREE_COMMAND_OPTIONS_H

#include "base/fault.h"
#include "layer/gc.h"
#include "operation/engine.h"
#include "sandbox/runtime.h"

/* The options of all commands. */
enum setting {
    NO_SETTING,
    SET_DATA_DIR,
    SET_SOCKET,
    SET_GROUP,
    SET_LISTEN,
    SET_TOKEN_FILE,
    SET_IDLE_EXIT,
    SET_READY_FD,
    SET_MEMORY,
    SET_CPUS,
    SET_PIDS,
    SET_RUNTIME,
    SET_NICE,
    SET_MAX_RUNS,
    SET_MAX_QUEUED,
    SET_ALLOW_MOUNT,
    SET_PLAIN_API,
    SET_TAG,
    SET_OUTPUT,
    SET_OCI,
    SET_DRY_RUN,
    SET_UNTAGGED_OLDER,
    SET_OPERATIONS_OLDER,
    SET_FILES_OLDER,
    SET_YES,
    SETTINGS
};

struct options;
enum { ALLOWED_MOUNTS_MAX = 32 };

struct command {
    const char *name;
    /* "SOURCE", or "[COMMAND]" if it may be left out; NULL: no operand. */
    const char *operand;
    const char *wanted; /* for the message if the operand is missing */
    const char *help;   /* one line or more */
    enum setting options[SETTINGS]; /* ends with NO_SETTING */
    bool deletes;                   /* never suggested for a mistyped name */
    /* Refuse options that do not go together: 400. Or NULL. */
    int (*check)(const struct options *o, struct fault *f);
    /* Do the work: the exit status, or -1. */
    int (*run)(const struct options *o, struct fault *f);
};

struct options {
    const struct command *command;
    bool help;           /* print the help of the command instead */
    const char *operand; /* what to import, or the image to export */
    const char *tag, *token_file, *output, *oci;
    bool yes;                               /* purge */
    char data_dir[4096], socket_path[4096]; /* what config points to */
    struct gc_options gc;
    bool runtime_given, socket_given;
    struct runtime runtime; /* what config points to, if any */
    const char *allowed_mounts[ALLOWED_MOUNTS_MAX]; /* what config points to */
    struct engine_config config;
};

#endif
