/* disk.h: ends a run that writes too much, while it runs. */
#ifndef CONTREE_OPERATION_DISK_H
#define CONTREE_OPERATION_DISK_H

struct operation;
/* Note how much of the disk is free, before the run writes. */
void operation_note_free_space(struct operation *op);
/* End the run if it wrote more than max_layer_bytes, filled the disk, or made a
 * volume larger than its quota. */
void operation_watch_disk(struct operation *op);

/* Its sandbox is gone: release its volumes, and note the sizes of those with a
 * quota. */
void operation_leave_volumes(struct operation *op);

#endif
