/* save.h: ends that must be on the disk before they are told. */
#ifndef CONTREE_OPERATION_SAVE_H
#define CONTREE_OPERATION_SAVE_H

#include "layer/survey.h"
#include "operation/internal.h"

/* End it as a success, durably. Its result image must be in the store. */
void operation_succeed(struct operation *op);
/* Publish what a run wrote as an image, then end the run. No process of it may
 * be left, but its sandbox may still be going. */
void operation_save(struct operation *op);
/* To be called when the sandbox of a run is gone. */
void operation_sandbox_gone(struct operation *op);
/* Give its workspace back, if it has one that nobody reads. */
void operation_drop_workspace(struct operation *op);

/* 507 if a run wrote more than max_layer_bytes. Names count LAYER_BYTES_A_NAME
 * each, since even an empty file takes an inode. */
int operation_check_layer(const struct operation *op, const struct survey *v,
                          struct fault *f);
#define LAYER_BYTES_A_NAME 4096
#define LAYER_NAMES_MIN 1024

#endif
