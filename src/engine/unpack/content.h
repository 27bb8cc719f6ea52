/* content.h: the content of a compressed layer of a container image, and its
 * digest. */
#ifndef CONTREE_UNPACK_CONTENT_H
#define CONTREE_UNPACK_CONTENT_H

#include "base/digest.h"
#include "base/fault.h"
#include <stddef.h>
#include <sys/types.h>

/* Open the blob that a descriptor gives: plain, gzip or zstd. NULL: 422 or
 * 500. */
struct content *content_open(int blob, struct fault *f);
void content_close(struct content *c);
/* unpack_options.read, with a struct content as its argument. 422 for damaged
 * data, 413 for a decompression bomb. */
ssize_t content_read(void *content, void *data, size_t size, struct fault *f);
/* Read what follows the archive, and give the digest of everything that was
 * read. 413 when too much follows. */
int content_digest(struct content *c, char out[DIGEST_SIZE], struct fault *f);

#endif
