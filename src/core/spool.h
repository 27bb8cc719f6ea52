/* spool.h: the file in which an engine of the same machine keeps output
 * (http-api.md §6.6). Records say which part of it they are, so the bytes need
 * not travel. Nothing is read but a regular file of the name that was asked
 * for, since the path comes from the server. */
#ifndef CONTREE_SPOOL_H
#define CONTREE_SPOOL_H

#include "transfer_error.h"

#include <stdbool.h>
#include <stddef.h>

#pragma GCC visibility push(hidden)

struct spool {
    char name[64]; /* of the file, without its directory; "": none is wanted */
    int fd;        /* -1: not open */
    bool by_hand;  /* the system cannot copy from file to file */
};

void spool_init(struct spool *spool);
void spool_close(struct spool *spool);
/* Open what "DEVICE.INODE PATH" says. The error is of the kind "spool" when
 * this process does not see the file. */
bool spool_open(struct spool *spool, const char *place, size_t length,
                struct transfer_error *error);
/* Read bytes that the server said were there. */
bool spool_read(const struct spool *spool, long long at, char *out,
                size_t length, struct transfer_error *error);
/* Append such bytes to a file; `name` is the file's for the error. */
bool spool_copy(struct spool *spool, long long at, size_t length, int file,
                const char *name, struct transfer_error *error);

#pragma GCC visibility pop

#endif
