/* content.h: what is compressed in a layer's blob of a container image, and its
 * digest. */
#ifndef CONTREE_UNPACK_CONTENT_H
#define CONTREE_UNPACK_CONTENT_H

#include "base/digest.h"
#include "base/fault.h"
#include <stddef.h>
#include <sys/types.h>

/* Reads what a descriptor gives: plain, gzip or zstd. NULL: 422 or 500. */
struct content *content_open(int blob, struct fault *f);
void content_close(struct content *c);
/* Up to `size` bytes, 0 at the end, -1 with the fault (422; 413 for a bomb);
 * `content` as an argument for unpack_options. */
ssize_t content_read(void *content, void *data, size_t size, struct fault *f);
/* Reads what follows an archive, a bounded number of bytes, and tells the
 * digest of all that was read. */
int content_digest(struct content *c, char out[DIGEST_SIZE], struct fault *f);

#endif
