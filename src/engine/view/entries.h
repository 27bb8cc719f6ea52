/* entries.h: the names in a directory that several layers have. */
#ifndef CONTREE_VIEW_ENTRIES_H
#define CONTREE_VIEW_ENTRIES_H

#include "base/buffer.h"
#include <stddef.h>
#include <stdint.h>

/* A directory with more entries is refused. */
enum { ENTRIES_MAX = 1000000 };

/* A name, and the first of the layers that has it: a position in the list of
 * those that were read. */
struct entry {
    size_t name; /* offset in text */
    uint32_t position;
};

/* Whiteouts are entries like others. */
struct entries {
    struct buffer text;
    struct entry *list;
    size_t count, capacity;
};
void entries_init(struct entries *e);
/* Adds the names of the directory `fd`, which it takes over. -1 with errno,
 * EFBIG when there are more than ENTRIES_MAX. */
int entries_read(struct entries *e, int fd, uint32_t position);
/* Once all directories are read: sorts the names and leaves each once, with its
 * lowest position. */
void entries_sort(struct entries *e);
void entries_free(struct entries *e);

#endif
