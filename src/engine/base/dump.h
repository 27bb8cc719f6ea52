/* dump.h: what a crash leaves behind. */
#ifndef CONTREE_BASE_DUMP_H
#define CONTREE_BASE_DUMP_H

/* From now on a core dump of this process, and of those that it starts, has no
 * memory: only where it was. Best effort. */
void dump_without_memory(void);

#endif
