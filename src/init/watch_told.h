/* watch_told.h: what the scan of new directories has told. The kernel may tell
 * it again. */
#ifndef CONTREE_INIT_WATCH_TOLD_H
#define CONTREE_INIT_WATCH_TOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Hashes of a directory's number and a name in it, with open addressing; 0 is
 * free. All zeros at first. */
struct watch_told {
    uint64_t *table;
    size_t size, count;
};

/* Without memory it is not noted, and may be told twice. */
void told_note(struct watch_told *t, int number, const char *name);
/* Whether the kernel tells it again; true once. Called for what goes, too: what
 * comes afterwards is new. */
bool told_again(struct watch_told *t, int number, const char *name);
void told_forget(struct watch_told *t);

#endif
