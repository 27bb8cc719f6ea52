/* family.h: all processes that a command has started, also those that left its
 * process group and its parents. The kernel gives an orphan to PID 1 and
 * forgets where it came from, so the command is marked: its limit on file
 * locks, which Linux has not obeyed since 2.4, has a value of its own. Limits
 * are inherited by every process, and none can raise one again. A program that
 * lowers this limit by intent leaves its family; it ends with the sandbox. */
#ifndef CONTREE_INIT_FAMILY_H
#define CONTREE_INIT_FAMILY_H

/* Mark the calling process, which no thread shares. It costs one system call,
 * and changes nothing that programs look at. */
void family_mark(int spid);
/* Send a signal to all that bear the mark. SIGKILL is repeated for those that
 * were forked meanwhile, until none is left; that takes some milliseconds. */
void family_signal(int spid, int signal);

#endif
