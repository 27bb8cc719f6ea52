/* commands.h: the time limits of the commands that run beside a main process,
 * and how long a box has had none. */
#ifndef CONTREE_OPERATION_COMMANDS_H
#define CONTREE_OPERATION_COMMANDS_H

#include "operation/processes.h"

/* A command runs now: its time begins. */
void commands_begin(struct operation *op, struct process_entry *e);
/* Call it whenever a command was added or has gone, and when a box is open:
 * sets when to wake. */
void commands_settle(struct operation *op);
/* Kill the commands whose time is up, with all that they have started. True: it
 * is a box that was idle for too long. */
bool commands_wake(struct operation *op);

#endif
