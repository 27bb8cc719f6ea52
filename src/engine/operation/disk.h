/* disk.h: ends a run that writes too much, while it runs. */
#ifndef CONTREE_OPERATION_DISK_H
#define CONTREE_OPERATION_DISK_H

struct operation;
/* Note how much of the disk is free, before the run writes. */
void operation_note_free_space(struct operation *op);
/* End the run if it wrote more than max_layer_bytes, or filled the disk. */
void operation_watch_disk(struct operation *op);

#endif
