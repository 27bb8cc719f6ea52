/* metadata.h: owner, mode, times and attributes of an entry. */
#ifndef CONTREE_UNPACK_METADATA_H
#define CONTREE_UNPACK_METADATA_H

#include "unpack/state.h"
#include <archive_entry.h>
#include <sys/types.h>
#include <time.h>

/* The owner by shifted ids; 422 for an id that this engine does not have. */
int entry_owner(struct unpack *u, const char *name, struct archive_entry *e,
                uid_t *uid, gid_t *gid);
/* For utimensat(): the entry's time of modification, if it has one. */
void entry_times(struct archive_entry *e, struct timespec out[2]);
/* Set owner, mode and attributes of an open file or directory. */
int set_metadata(struct unpack *u, int fd, const char *name,
                 struct archive_entry *e);

#endif
