/* below.h: what unpacking asks about the layers below (unpack/options.h), told
 * from a view. */
#ifndef CONTREE_TRANSPORT_BELOW_H
#define CONTREE_TRANSPORT_BELOW_H

#include "base/deadline.h"
#include "unpack/options.h"
#include "view/view.h"

struct below {
    struct view *view;
    struct deadline deadline; /* for copies */
};

/* As unpack_options.below and .copy; `arg` is a struct below. */
int below_look(void *arg, const char *path, struct unpack_below *out,
               struct fault *f);
int below_copy(void *arg, const char *path, int root, struct fault *f);

#endif
