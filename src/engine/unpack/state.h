/* state.h: an archive that is being unpacked: its state, limits and faults. The
 * functions of this room return -1 with the fault in u->f. */
#ifndef CONTREE_UNPACK_STATE_H
#define CONTREE_UNPACK_STATE_H

#include "base/buffer.h"
#include "base/fault.h"
#include "unpack/kind.h"
#include "unpack/options.h"
#include <archive.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

enum { UNPACK_BLOCK = 256 << 10 };

struct unpack {
    const struct unpack_options *o;
    struct unpack_result *result;
    struct fault *f;
    struct archive *a;
    int root, input;
    char at[PATH_MAX]; /* clean; "" is the root */
    bool stopped; /* the fault is filled already, by a callback or deadline */
    /* The directory of the last entry, which most share with the next: its path
     * in the archive, and the path without links to which that leads. */
    int parent;
    char parent_path[PATH_MAX], parent_place[PATH_MAX];
    /* Directories' times, which are set last: making entries changes them. */
    struct buffer times;
    struct buffer linked; /* hardlink.c: files below that hard links name */
    /* Places of implied directories (implied.h), and how many of them and of
     * whiteouts there are. */
    struct buffer implied;
    int64_t implied_count;
    int64_t told_entries, told_bytes; /* when o->advanced was called */
    size_t begun;                     /* bytes of the input's beginning */
    char beginning[KIND_BYTES];
    char block[UNPACK_BLOCK];
};

/* The format of names in faults: they come from the archive, and may be long.
 */
#define NAME "%.200s"

#define OPEN_DIRECTORY (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

/* Refuse the archive with 422, because `name` is `why`. */
int unpack_refuse(struct unpack *u, const char *name, const char *why);
/* Fail by errno. */
int unpack_failed(struct unpack *u, const char *doing, const char *name);
/* Whether it was cancelled or takes too long; then the fault is filled. */
bool unpack_must_stop(struct unpack *u);
/* Count an entry, or bytes of contents: 413 beyond the limit. */
int unpack_count_entry(struct unpack *u);
int unpack_count_bytes(struct unpack *u, uint64_t more);
int64_t unpack_max_bytes(const struct unpack *u);
/* Append "/name" to a path; "" is the root. */
int path_append(struct unpack *u, char path[PATH_MAX], const char *name);

#endif
