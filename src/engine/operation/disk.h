/* disk.h: ends runs that write too much while they run. */
#ifndef CONTREE_OPERATION_DISK_H
#define CONTREE_OPERATION_DISK_H

struct operation;
/* Notes how much is free before the run writes. */
void operation_note_free_space(struct operation *op);
/* Ends it if it wrote more than it may, or the last that the disk had. */
void operation_watch_disk(struct operation *op);

#endif
