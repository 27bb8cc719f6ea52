/* jail.h: unpacking in a process that has nothing to lose. Most holes are in
 * decoders of compressed data and archives; a hole in one gives an attacker
 * this process, which
 *
 *   - has a user namespace of its own and only the sandbox's ids: nothing of
 *     the engine's user, its files or its memory, which it was not forked from;
 *   - has the directory to unpack into as its root directory, the archive, and
 *     a socket to ask its parent what is below, and for copies of files there
 *     (options.h): layers that others share are not in its reach, as what it
 *     says of the content counts for the same archive alone;
 *   - has the capabilities to set owners and modes there, and no others;
 *   - can make the system calls that unpacking needs: no socket, no program, no
 *     process;
 *   - has 512 MiB, is the first to go when memory is short, and dies with the
 *     process that started it. */
#ifndef CONTREE_UNPACK_JAIL_H
#define CONTREE_UNPACK_JAIL_H

#include "base/digest.h"
#include "base/fault.h"
#include "unpack/options.h"

/* unpack_tar() in such a process; o->read must be NULL. With `digest` the
 * archive is the blob of a layer of a container image (content.h): all of it is
 * read, and `digest` becomes that of its content. Faults as there, 503 when the
 * process cannot be confined, 422 when it dies of the archive. Blocks: call it
 * in a worker. The program's main() must begin as child.h says. */
int unpack_jailed(int root, int fd, const struct unpack_options *o,
                  char digest[DIGEST_SIZE], struct unpack_result *result,
                  struct fault *f);

#endif
