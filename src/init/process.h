/* process.h: starting one process of the sandbox. */
#ifndef CONTREE_INIT_PROCESS_H
#define CONTREE_INIT_PROCESS_H

#include "init/account.h"
#include "init/failure.h"

#include <stdbool.h>

struct exec_spec {
    const char *cwd;
    char **argv; /* argv[-1] is a spare slot, for a shell */
    char **env;
    struct account account; /* its groups may be changed */
    int stdio[3];
    bool terminal; /* stdio is one, and is to control the process */
    int spid;      /* its number, see family.h */
};

/* The pid, or -1. A program that cannot be executed is started nevertheless:
 * it says why on its standard error and exits with 126 or 127, like a shell. */
int process_start(struct exec_spec *p, struct failure *f);

#endif
