/* skeleton.h: what is below every image, in the data directory (layers.h). */
#ifndef CONTREE_LAYER_SKELETON_H
#define CONTREE_LAYER_SKELETON_H

#include "base/fault.h"
#include <sys/stat.h>

#define ROOT_MODE 0755

/* Makes l/0 and l/places, or what is missing of them; 409 when they belong to
 * other ids than those from `id_base` on. */
int skeletons_prepare(int dir_fd, uid_t id_base, struct fault *f);
/* A directory with this mode and owner, also if there is one; -1 with errno. */
int make_owned(int dir, const char *name, mode_t mode, uid_t owner);

#endif
