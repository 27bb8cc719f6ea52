/* blob.h: uploaded contents, one file per SHA-256 under b/xx/. */
#ifndef CONTREE_LAYER_BLOB_H
#define CONTREE_LAYER_BLOB_H

#include "base/fault.h"
#include "store/store.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An upload in progress: bytes go to a file without a name and through SHA-256
 * in one pass. One thread at a time. */
struct upload;
struct upload *upload_begin(int dir_fd, int64_t max_bytes, struct fault *f);
/* 413 above max_bytes, 507 on a full disk. After a failure call upload_abort()
 * or upload_finish(), which fails as well. */
int upload_write(struct upload *u, const void *data, size_t length,
                 struct fault *f);
/* Write all that the regular file `fd` has, from its beginning. The file system
 * shares the data if it can; else the kernel copies it, and the copy is hashed
 * meanwhile, so a writer who changes the file does no harm. 409 when
 * `cancelled` becomes true. Worker; once, to an empty upload. */
int upload_copy(struct upload *u, int fd, const atomic_bool *cancelled,
                struct fault *f);
/* fsync, publish under its hash, row in the store; durable on return. Worker.
 * Consumes `u` whatever the outcome. */
int upload_finish(struct upload *u, struct store *s, struct stored_file *out,
                  struct fault *f);
void upload_abort(struct upload *u); /* leaves nothing behind; NULL is fine */

/* A read-only descriptor of a published content, or -1 (404). */
int blob_open(int dir_fd, const char *sha256, struct fault *f);

#endif
