/* report.h: reports of a sandbox's init to the engine. */
#ifndef CONTREE_INIT_REPORT_H
#define CONTREE_INIT_REPORT_H

#include "init/failure.h"
#include "init/protocol.h"

/* Exits when the engine is gone: the sandbox ends with its init. */
void report_send(int control, const struct report *r);
/* The same with a descriptor, which stays ours; -1: none. */
void report_send_with(int control, const struct report *r, int fd);
/* The same, with a descriptor; -1: none. Some may be under way already in
 * sockets of the user that the kernel takes no more: then it is left out, with
 * status 503. */
void report_send_fd(int control, struct report *r, int fd);
/* Gives the listener of a filter to the engine; -1: there is none. */
void report_trace(int control, int listener);
/* Tells the engine why there will be no sandbox, and exits. */
_Noreturn void report_fault(int control, const struct failure *f);

#endif
