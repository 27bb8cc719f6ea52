/* egress.h: what the airlock of a run refused, and what the run tried, as lists
 * of different entries with counts. */
#ifndef CONTREE_OPERATION_EGRESS_H
#define CONTREE_OPERATION_EGRESS_H

#include "base/buffer.h"
#include <jansson.h>
#include <stdint.h>

/* Each an object of entries by their text, or NULL. */
struct egress {
    json_t *denied, *tried;
};
enum { EGRESS_DENIED_MAX = 300, EGRESS_TRIED_MAX = 1300 };
#define EGRESS_COUNT_MAX (INT64_C(1) << 40)

/* Count an entry: the data of an event `denied` or `tried`. Nothing new is
 * taken once the list is full. */
void egress_count_denied(struct egress *e, const json_t *data);
void egress_count_tried(struct egress *e, const json_t *data);
/* Its member `count`. */
int64_t egress_entry_count(const json_t *data);
/* Add the list as a member, an array. */
void egress_write(struct buffer *b, const char *key, const json_t *list);
void egress_clear(struct egress *e);

#endif
