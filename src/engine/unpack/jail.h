/* jail.h: unpacking in a process that has nothing to lose. Decoders of
 * compressed data and archives are where the holes are; a hole in one gives an
 * attacker this process, which
 *
 *   - has a user namespace of its own and only the sandbox's ids: nothing of
 *     the engine's user, its files or its memory, which it was not forked from;
 *   - has the directory to unpack into as its root directory, the archive, and
 *     a socket to ask its parent what is below, and for copies of files there
 *     (unpack_options): layers that others share are not in its reach;
 *   - has the capabilities to set owners and modes there, and no others;
 *   - can call what unpacking calls: no socket, no program, no process;
 *   - has 512 MiB, is the first to go when memory is short, and dies with who
 *     started it. */
#ifndef CONTREE_UNPACK_JAIL_H
#define CONTREE_UNPACK_JAIL_H

#include "base/digest.h"
#include "base/fault.h"
#include "unpack/unpack.h"
#include <stdbool.h>

/* unpack_tar() in such a process; it must not read by `read`. With `digest` the
 * archive is the blob of a layer of a container image: see content.h; all of it
 * is read, and the digest of its content told.
 * Faults as there, and 503 when the process cannot be confined, 422 when it
 * dies of the archive. Blocks: worker. */
int unpack_jailed(int root, int fd, const struct unpack_options *o,
                  char digest[DIGEST_SIZE], struct unpack_result *result,
                  struct fault *f);

/* The process is this program, started once more by another name: a main()
 * whose program unpacks begins with
 *     if (unpack_is_child(argv))
 *         return unpack_child(); */
bool unpack_is_child(char *const argv[]);
int unpack_child(void);

#endif
