/* versions.h: three versions of one entry become one. */
#ifndef CONTREE_MERGE_VERSIONS_H
#define CONTREE_MERGE_VERSIONS_H

#include "base/buffer.h"
#include "base/deadline.h"
#include "base/fault.h"
#include "merge/upper.h"
#include "view/same.h"
#include <stdbool.h>

struct versions {
    int dir_fd;
    const char *path;
    const struct placed *base; /* NULL: it is new on both sides */
    const struct placed *ours, *theirs;
    const struct deadline *deadline;
};

/* What has become of them. */
struct verdict {
    const char *conflict;         /* its kind (conflict.h), or NULL */
    bool changed;                 /* it differs from ours */
    const struct placed *content; /* NULL: `text` */
    struct buffer text;           /* owned */
    struct upper_like like;
};

/* Both ours and theirs are directories, or neither is. Free out->text whatever
 * the outcome. */
int versions_merge(const struct versions *v, struct verdict *out,
                   struct fault *f);
/* 1: the same content, mode, owner and attributes; 0: not; -1: fault. */
int versions_same(const struct versions *v, const struct placed *a,
                  const struct placed *b, struct fault *f);

#endif
