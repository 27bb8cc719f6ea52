/* entries.h: the names in one directory of several layers. */
#ifndef CONTREE_VIEW_ENTRIES_H
#define CONTREE_VIEW_ENTRIES_H

#include "base/buffer.h"
#include <stddef.h>
#include <stdint.h>

/* A directory with more entries is refused. */
enum { ENTRIES_MAX = 1000000 };

/* A name, and the first of the layers that has it: its position among those
 * that were read. */
struct entry_name {
    size_t name; /* offset in text */
    uint32_t position;
};

/* Whiteouts are included. */
struct entries {
    struct buffer text;
    struct entry_name *list;
    size_t count, capacity;
};
void entries_init(struct entries *e);
/* Add the names of the directory `fd`, which is closed. -1 with errno; EFBIG
 * when there are more than ENTRIES_MAX. */
int entries_read(struct entries *e, int fd, uint32_t position);
/* Call it once all directories are read: it sorts the names and keeps each
 * once, with its lowest position. */
void entries_sort(struct entries *e);
void entries_free(struct entries *e);

#endif
