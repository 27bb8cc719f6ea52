/* etc.h: /etc/hosts, hostname and resolv.conf of a sandbox. As with every
 * container runtime they are the engine's: mounted over the image's files,
 * writable, and gone with the sandbox. */
#ifndef CONTREE_INIT_ETC_H
#define CONTREE_INIT_ETC_H

#include "init/failure.h"
#include "init/spec.h"

/* Makes a directory for them in the stage. */
int etc_prepare(struct failure *f);
/* Mounts them in the root that is open as `root`, but for those of
 * spec->image_etc. To be called before anything else is mounted there. */
int etc_place(int root, const struct root_spec *spec, struct failure *f);

#endif
