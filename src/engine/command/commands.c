/* commands.c: see commands.h. */
#include "command/commands.h"
#include "command/doctor.h"
#include "command/gc.h"
#include "command/help.h"
#include "command/parse.h"
#include "command/purge.h"
#include "command/serve.h"
#include "command/transfer.h"
#include "core/version.h"
#include <stdio.h>

static int check_serve(const struct options *o, struct fault *f) {
    if (o->config.listen && !o->token_file)
        return fault_set(f, 400,
                         "--listen needs --token-file: anybody on this "
                         "machine can connect");
    return 0;
}

static int check_export(const struct options *o, struct fault *f) {
    if (o->oci && o->output)
        return fault_set(f, 400, "--oci makes a directory: it needs no -o");
    return 0;
}

static int print_version(const struct options *o, struct fault *f) {
    (void)o;
    (void)f;
    puts("contree-engine " CONTREE_VERSION);
    return 0;
}

static int check_help(const struct options *o, struct fault *f) {
    return !o->operand || command_find(commands, o->operand, f) ? 0 : -1;
}

static int print_help(const struct options *o, struct fault *f) {
    if (o->operand)
        help_print_command(command_find(commands, o->operand, f));
    else
        help_print(commands);
    return 0;
}

const struct command commands[] = {
    {"serve", .help = "run sandboxes for clients, over HTTP",
     .options = {SET_DATA_DIR, SET_SOCKET, SET_GROUP, SET_LISTEN,
                 SET_TOKEN_FILE, SET_IDLE_EXIT, SET_READY_FD, SET_MEMORY,
                 SET_CPUS, SET_PIDS, SET_RUNTIME, SET_NICE, SET_MAX_RUNS,
                 SET_MAX_QUEUED, SET_ALLOW_MOUNT, SET_PLAIN_API},
     .check = check_serve, .run = serve},
    {"import", .operand = "SOURCE",
     .wanted = "a FILE, - for standard input, oci:DIR or "
               "docker://HOST/NAME:TAG",
     .help = "make an image of a tar (FILE, -), of a registry's image\n"
             "(docker://HOST/NAME:TAG), of oci:DIR, oci-archive:FILE,\n"
             "docker-archive:FILE",
     .options = {SET_DATA_DIR, SET_SOCKET, SET_TAG}, .run = import_command},
    {"export", .operand = "IMAGE", .wanted = "an image: its tag or uuid",
     .help = "write an image as a tar, or as an OCI layout",
     .options = {SET_DATA_DIR, SET_SOCKET, SET_OUTPUT, SET_OCI},
     .check = check_export, .run = export_command},
    {"gc", .help = "remove what was not used for long",
     .options = {SET_DATA_DIR, SET_SOCKET, SET_DRY_RUN, SET_UNTAGGED_OLDER,
                 SET_OPERATIONS_OLDER, SET_FILES_OLDER},
     .deletes = true, .run = gc_command},
    {"doctor", .help = "say what this machine lacks, and the fix",
     .options = {SET_DATA_DIR, SET_SOCKET, SET_RUNTIME}, .run = doctor_command},
    {"purge", .help = "remove a data directory, with all images",
     .options = {SET_DATA_DIR, SET_YES}, .deletes = true, .run = purge_command},
    {"version", .help = "print the version", .run = print_version},
    {"help", .operand = "[COMMAND]", .help = "print this", .check = check_help,
     .run = print_help},
    {NULL},
};
