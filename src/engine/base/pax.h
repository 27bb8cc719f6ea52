/* pax.h: writing a POSIX PAX tar, any bytes as names, holes as GNU sparse 1.0.
 * Not through libarchive: that would have to be fed every zero of a hole, wants
 * a locale for names, and loses memory when an output fails half-way. */
#ifndef CONTREE_BASE_PAX_H
#define CONTREE_BASE_PAX_H

#include "base/buffer.h"
#include "base/scope.h"
#include <stdint.h>
#include <sys/stat.h>

struct pax {
    int fd;
    size_t used;
    char block[64 << 10];
};

struct pax_extent {
    int64_t begin, end;
};

struct pax_member {
    const char *name; /* relative; a directory's without a "/" at the end */
    const struct stat *st;            /* mode, owner, size, time */
    const char *hard_link;            /* name of an earlier member, or NULL */
    const char *symlink;              /* target, or NULL */
    const char *user, *group;         /* or NULL */
    const struct buffer *attributes;  /* from pax_attribute(), or NULL */
    const struct pax_extent *extents; /* where a file with holes has data */
    size_t extent_count;              /* 0: everywhere */
};

/* Begin an archive on `fd`, which the caller still owns. */
void pax_begin(struct pax *p, int fd);
/* Add an extended attribute to those of a member. */
bool pax_attribute(struct buffer *attributes, const char *name,
                   const void *value, size_t size);
/* Write all of a member but its content. For a regular file that is not a hard
 * link, call pax_data() until all bytes of all extents were given, then
 * pax_pad(). All return 0, or -1 with errno. */
int pax_member(struct pax *p, const struct pax_member *m) MUST_CHECK;
int pax_data(struct pax *p, const void *data, size_t length) MUST_CHECK;
int pax_pad(struct pax *p, int64_t length) MUST_CHECK;
/* Write out all that was added so far. */
int pax_flush(struct pax *p) MUST_CHECK;
int pax_end(struct pax *p) MUST_CHECK;

#endif
