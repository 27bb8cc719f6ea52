/* skeleton.h: the lowest directories of every image (layers.h). */
#ifndef CONTREE_LAYER_SKELETON_H
#define CONTREE_LAYER_SKELETON_H

#include "base/fault.h"
#include <sys/stat.h>

#define ROOT_MODE 0755

/* Make l/0 and l/places where they are missing. 409 when the layers were made
 * with another id_base. */
int skeletons_prepare(int dir_fd, uid_t id_base, struct fault *f);
/* Make a directory with this mode and owner. If it exists, it gets them. -1
 * with errno. */
int make_owned(int dir, const char *name, mode_t mode, uid_t owner);

#endif
