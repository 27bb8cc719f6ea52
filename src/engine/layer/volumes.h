/* volumes.h: directories that outlive runs and are shared by them, in no image.
 *
 *   v/UUID/      the files of a volume; its row (store/store.h) has the name
 *
 * A volume exists when its row does, as a layer does (layers.h): its directory
 * is made and synced before the row is written, and goes to the trash after the
 * row is gone. What a killed engine left without a row is deleted by the next
 * one. What runs write in a volume is not synced: a killed engine loses nothing
 * of it, a power cut may lose the last seconds. */
#ifndef CONTREE_LAYER_VOLUMES_H
#define CONTREE_LAYER_VOLUMES_H

#include "base/fault.h"
#include "store/store.h"

struct layers;

/* All of these belong into a worker. */

/* Find a volume, or make it with this quota (0: none). 1: it was made, and
 * store_sync() makes that durable; 0: it was there; 400 for a malformed name.
 */
int volume_find_or_make(struct layers *l, const char *name, int64_t quota,
                        struct stored_volume *out, struct fault *f);
/* Delete it for good: durable on return. No run may use it, or begin to. 404
 * for a name that no volume has. On a full disk its files go first, to make
 * room. */
int volume_remove(struct layers *l, const char *name, struct fault *f);
/* The bytes of its files, as those of a layer (survey.h). A run may change them
 * meanwhile. */
int volume_measure(struct layers *l, const struct stored_volume *v,
                   int64_t *bytes, struct fault *f);
/* Like tag_check(), in the words of volumes. */
int volume_check_name(const char *name, struct fault *f);

#endif
