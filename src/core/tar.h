/* tar.h: the headers of a tar archive, POSIX with GNU's long names. */
#ifndef CONTREE_TAR_H
#define CONTREE_TAR_H

#include "bytes.h"

#include <stdbool.h>
#include <sys/types.h>

#pragma GCC visibility push(hidden)

enum { TAR_BLOCK = 512 };

struct tar_entry {
    const char *name, *target; /* target: of links, else NULL */
    char type;                 /* '0' file, '1' hard link, '2' link */
    mode_t mode;
    uid_t uid;
    gid_t gid;
    off_t size;
    time_t mtime;
};

/* Appends the header; false when there is no memory. The caller appends the
 * content, and zeros up to a whole block. */
bool tar_header(struct bytes *out, const struct tar_entry *entry);
/* Appends the zeros behind `size` bytes of content. */
bool tar_pad(struct bytes *out, off_t size);
/* Appends the end of the archive. */
bool tar_end(struct bytes *out);

#pragma GCC visibility pop

#endif
