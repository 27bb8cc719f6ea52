/* save.h: successful ends, in workers: what counts as done is on the disk. */
#ifndef CONTREE_OPERATION_SAVE_H
#define CONTREE_OPERATION_SAVE_H

#include "operation/internal.h"

/* Ends it as a success, durably: its result image is safe already. */
void operation_succeed(struct operation *op);
/* Publishes what a run wrote, then settles it. */
void operation_save(struct operation *op);
/* Gives its workspace back, if it has one. */
void operation_drop_workspace(struct operation *op);

/* 507 when a run wrote more bytes than max_layer_bytes, or more names than that
 * has room for: an empty file takes none of the bytes, but an inode. */
int operation_check_layer(const struct operation *op, int64_t bytes,
                          int64_t entries, struct fault *f);
#define LAYER_BYTES_A_NAME 4096
#define LAYER_NAMES_MIN 1024

#endif
