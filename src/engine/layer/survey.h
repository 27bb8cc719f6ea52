/* survey.h: what a layer holds. */
#ifndef CONTREE_LAYER_SURVEY_H
#define CONTREE_LAYER_SURVEY_H

#include "base/fault.h"
#include "layer/workspace.h"
#include <stdint.h>

struct survey {
    int64_t bytes; /* of regular files, hard links once and holes not at all */
    int64_t entries; /* names of any type */
};
/* Survey the tree of an open directory. Worker. */
int survey_tree(int fd, struct survey *out, struct fault *f);
/* The same for the upper directory of a workspace. */
int workspace_survey(struct layers *l, const struct workspace *w,
                     struct survey *out, struct fault *f);
/* The same where that is quick, and whether the run changed nothing at all
 * (workspace_is_empty()). False: it is not, or failed; ask a worker. Loop
 * thread or worker. */
bool workspace_survey_small(struct layers *l, const struct workspace *w,
                            struct survey *out, bool *empty);

#endif
