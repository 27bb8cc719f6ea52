/* inside.h: PID 1 of a container that an OCI runtime made. It checks the walls
 * that the runtime was told to build, builds the others itself, exactly as a
 * cell does, and then carries out orders. Nothing of the image runs before. */
#ifndef CONTREE_INIT_INSIDE_H
#define CONTREE_INIT_INSIDE_H

/* The exit code when the program was started by hand; else it never returns. */
int inside_main(void);

#endif
