/* terminal.h: the master of a process's terminal. Nothing here blocks. */
#ifndef CONTREE_OPERATION_TERMINAL_H
#define CONTREE_OPERATION_TERMINAL_H

#include "base/fault.h"
#include <stddef.h>

/* Give it another size; the processes in its foreground get SIGWINCH. */
int terminal_resize(int master, unsigned rows, unsigned columns,
                    struct fault *f);

/* Write what a person types to end the input after `last`, the byte that was
 * typed before (-1: none), and return the number of bytes. In the middle of a
 * line, the first Ctrl-D hands over the line, and the second one is the end. */
enum { TERMINAL_END_MAX = 2 };
size_t terminal_end(int master, int last, char out[TERMINAL_END_MAX]);

#endif
