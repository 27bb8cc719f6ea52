/* named.h: a file that the client has open. It names a descriptor of its own,
 * which is opened again by way of /proc. So the engine gets at nothing that the
 * client could not, whatever they see of the file system. */
#ifndef CONTREE_API_NAMED_H
#define CONTREE_API_NAMED_H

#include "api/api.h"

struct named_file {
    long client;
    int64_t fd;
    char inode[48]; /* "DEVICE.INODE" */
};

/* Read `fd` and `inode` from an object: 400; 403 over TCP. */
int named_file_read(struct request *r, struct fields *in,
                    struct named_file *out, struct fault *f);
/* Open it, which may wait for a file system: worker. What else the number may
 * stand for is not opened: 422. */
int named_file_open(const struct named_file *file, struct fault *f);

#endif
