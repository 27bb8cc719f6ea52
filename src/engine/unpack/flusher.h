/* flusher.h: a thread that syncs a file system while a tree grows in it. The
 * disk works meanwhile, so the sync by which the tree becomes durable has less
 * to write. */
#ifndef CONTREE_UNPACK_FLUSHER_H
#define CONTREE_UNPACK_FLUSHER_H

struct flusher;

/* Have the file system of the open directory `root` synced, now or after the
 * sync that goes on. *w is NULL before the first call; without memory or a
 * thread it stays so. A failure is not told: the last sync tells. */
void flusher_wake(struct flusher **w, int root);
/* Wait for the end of a sync that goes on, and end the thread. Sets *w to
 * NULL; does nothing when it is. */
void flusher_close(struct flusher **w);

#endif
