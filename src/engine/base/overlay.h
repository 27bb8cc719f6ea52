/* overlay.h: where layers are in the data directory, and the marks by which the
 * kernel's overlay knows what one of them removes. */
#ifndef CONTREE_BASE_OVERLAY_H
#define CONTREE_BASE_OVERLAY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/* "l/123"; of a negative number: "w/123/u", a layer that is being made. */
void layer_path(int64_t id, char out[32]);

/* Whether an entry is a whiteout: it hides the name in layers below. */
bool overlay_is_whiteout(const struct stat *st);
/* Whether an open directory hides what is below it. */
bool overlay_is_opaque(int dir);
/* Whether an attribute is overlay's, not one that a program in a sandbox gave
 * the same prefix. */
bool overlay_owns_attribute(const char *name);
/* Whether an attribute belongs to the content of a layer: neither overlay's,
 * nor one that only the host has. */
bool overlay_keeps_attribute(const char *name);

/* Removes the mark of a volatile mount from the work directory `work` below
 * `dir`: overlay refuses a work directory that has it. 0, or -1 with errno. */
int overlay_clean_work(int dir, const char *work);

#endif
