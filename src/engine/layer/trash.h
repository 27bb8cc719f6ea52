/* trash.h: what waits to be deleted. Moving something there is cheap; a worker
 * deletes it. Thread-safe. */
#ifndef CONTREE_LAYER_TRASH_H
#define CONTREE_LAYER_TRASH_H

#include <stdbool.h>

struct layers;

/* Move a path of the data directory, to which nothing refers any more, to the
 * trash. -1: it could not be moved, which is logged unless it does not exist.
 */
int trash_move(struct layers *l, const char *path);
/* Delete what is in the trash. Worker. */
void trash_empty(struct layers *l);
/* Whether nothing was moved to the trash since the last trash_empty() began. */
bool trash_is_empty(struct layers *l);

#endif
