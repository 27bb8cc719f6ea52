/* stage.h: the forkserver's own small root, from which a sandbox's mount
 * namespace starts. It holds nothing of the host but what a cell needs:
 *
 *   /l /w /v   the data directory's layers, workspaces and volumes
 *   /proc    the host's (the kernel gives a new one only to a process that
 *            sees one)
 *   /sys /dev   the templates of every sandbox's
 *   /empty   hides directories
 *   /etc     where a cell makes its own (etc.h)
 *   /new.proc /new.sys /new.dev /new   where a cell mounts its own
 *
 * A runtime needs its libraries, so it sees the host. Then the stage is the
 * working directory, mounted at `path`, and holds only /l /w /v /sys /empty
 * /etc /new and /run, which is the runtime's own.
 *
 * Made once, when the forkserver starts. It keeps the host's mounts out of
 * every cell, which is safer and faster than copying them for each, and does
 * not keep them busy. */
#ifndef CONTREE_INIT_STAGE_H
#define CONTREE_INIT_STAGE_H

#include "init/failure.h"

int stage_build(int data_dir, struct failure *f);
int stage_build_for_runtime(int data_dir, const char *path, struct failure *f);

#endif
