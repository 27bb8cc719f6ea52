/* gc.h: garbage collection: old untagged images, old operations, old uploads,
 * and the layers, contents and logs that nothing refers to any more.
 *
 * There are three steps: an engine does the middle one on its loop, where
 * nothing else begins meanwhile, and the long ones in a worker. Rows are
 * removed first, then directories are moved to the trash, then deleted. If it
 * is killed in between, what is left has no row, and the next start or
 * collection removes it. */
#ifndef CONTREE_LAYER_GC_H
#define CONTREE_LAYER_GC_H

#include "base/fault.h"
#include "base/uuid.h"
#include "store/garbage.h"
#include <stddef.h>
#include <stdint.h>

#define GC_AGE (INT64_C(180) * 86400)

/* Ages in seconds: what was not used for longer is removed. An image is used
 * when it is made, and when an operation with it begins or ends; a file when it
 * is uploaded. A temporary image (http-api.md §4.25) that was not used for a
 * day is removed. An untagged image whose operation failed after it was saved
 * is removed after a day, because nobody knows of it. */
struct gc_options {
    bool dry_run; /* only report */
    int64_t untagged, operations, files;
    /* Seconds since 1970. Rows of an earlier time, or one to come, which a
     * wrong clock gave them, count as new from now on. 0: they stay as they
     * are. */
    int64_t earliest;
};

struct layers;
struct gc;
struct gc *gc_new(int dir_fd, struct store *s, struct layers *l,
                  const struct gc_options *o, struct fault *f);
/* Remove contents and logs without a row. Worker. */
int gc_sweep(struct gc *g, struct fault *f);
/* Look at some rows in one transaction, few enough for the loop to wait for
 * it, and remove what nothing needs. From the making of the pins until the
 * return nobody may begin to use an image or a file. In a dry run all rows are
 * looked at, in a copy: worker. */
int gc_remove_rows(struct gc *g, const struct gc_pins *p, struct fault *f);
/* Delete the directories and files of these rows. Worker. */
int gc_finish(struct gc *g, struct fault *f);
/* Whether more rows may be left: repeat both steps. */
bool gc_has_more(const struct gc *g);
const struct gc_report *gc_result(const struct gc *g);
void gc_free(struct gc *g);

/* Do all three, in a data directory that no engine uses. */
int gc_run(int dir_fd, struct store *s, struct layers *l,
           const struct gc_options *o, struct gc_report *out, struct fault *f);

#endif
