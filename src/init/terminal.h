/* terminal.h: a terminal for one process of the sandbox. */
#ifndef CONTREE_INIT_TERMINAL_H
#define CONTREE_INIT_TERMINAL_H

#include "init/failure.h"

#include <sys/types.h>

/* Both ends, which the caller owns; -1: none. */
struct terminal {
    int master, slave;
};

/* Open a terminal of the sandbox's own devpts, which `owner` may open again by
 * its name. On failure both ends are -1. */
int terminal_open(struct terminal *t, unsigned rows, unsigned columns,
                  uid_t owner, struct failure *f);
void terminal_close(struct terminal *t);

#endif
