/* archive.h: a part of an image as tar; see view.h. */
#ifndef CONTREE_VIEW_ARCHIVE_H
#define CONTREE_VIEW_ARCHIVE_H

#include "base/deadline.h"
#include "base/fault.h"

struct view;

/* What an archive is for. */
enum archive_kind {
    ARCHIVE_TAR,
    ARCHIVE_LAYER, /* of an OCI image, where a name .wh.X removes X */
};
/* Check whether everything from `path` down can be archived: once half of an
 * archive is sent, its reader cannot be told of an error any more. 422 when it
 * is neither a file nor a directory, has a path of INSPECT_PATH bytes or, for a
 * layer, a name that means something else there. */
int inspect_can_archive(struct view *v, const char *path,
                        enum archive_kind kind, const struct deadline *p,
                        struct fault *f);
/* Write a PAX tar of `path` and all below to `to` (blocking), names relative to
 * the image's root. Hard links, holes, user.* attributes and file capabilities
 * are kept; sockets and devices are left out. 404 for a missing path, before
 * anything is written. SIGPIPE must be ignored. http-api.md §4.20. */
int inspect_archive(struct view *v, const char *path, int to,
                    const struct deadline *p, struct fault *f);

#endif
