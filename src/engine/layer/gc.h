/* gc.h: garbage collection: old untagged images, old operations, old uploads,
 * and the layers, contents and logs that nothing refers to any more.
 *
 * Three steps, so that an engine can do the middle one on its loop, where
 * nothing begins meanwhile, and the long ones in a worker. Rows go first, then
 * directories are moved to the trash, then they are deleted: whenever it is
 * killed, what is left has no row, and the next start or collection takes it.
 */
#ifndef CONTREE_LAYER_GC_H
#define CONTREE_LAYER_GC_H

#include "base/fault.h"
#include "base/uuid.h"
#include "store/garbage.h"
#include <stddef.h>
#include <stdint.h>

#define GC_AGE (INT64_C(180) * 86400)

/* Ages in seconds: what was not used for longer goes. An image was used when
 * it was made, and when an operation began or ended with it; a file when it
 * was uploaded. An untagged image that nobody was told of, because its
 * operation failed after it was saved, goes after a day. */
struct gc_options {
    bool dry_run; /* only report */
    int64_t untagged, operations, files;
};

struct layers;
struct gc;
struct gc *gc_new(int dir_fd, struct store *s, struct layers *l,
                  const struct gc_options *o, struct fault *f);
/* Contents and logs without a row. Worker. */
int gc_sweep(struct gc *g, struct fault *f);
/* Removes rows, in one transaction, and so few that a loop can wait for it.
 * Nobody may begin to use an image or a file between the making of the pins and
 * the return. */
int gc_remove_rows(struct gc *g, const struct gc_pins *p, struct fault *f);
/* Deletes what the rows were about. Worker. */
int gc_finish(struct gc *g, struct fault *f);
/* There may be more rows to remove, and then to finish. */
bool gc_has_more(const struct gc *g);
const struct gc_report *gc_result(const struct gc *g);
void gc_free(struct gc *g);

/* All three, for a data directory that nobody else uses. */
int gc_run(int dir_fd, struct store *s, struct layers *l,
           const struct gc_options *o, struct gc_report *out, struct fault *f);

#endif
