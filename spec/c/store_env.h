/* store_env.h: a store in a temporary directory, and a look at its operations.
 */
#ifndef CONTREE_STORE_ENV_H
#define CONTREE_STORE_ENV_H

#include "base/fault.h"
#include "check.h"
#include "store/store.h"
#include "temp_dir.h"

/* NULL: it cannot be opened; why is printed. */
static inline struct store *open_store(const struct temp_dir *d) {
    struct fault f = {0};
    struct store *s = store_open(d->fd, d->path, &f);
    if (!s)
        printf("# store_open: %s\n", f.message);
    return s;
}

struct seen_operations {
    int count;
    int64_t created[64];
};

static inline bool see_operation(void *arg, const struct operation_row *o) {
    struct seen_operations *seen = arg;
    CHECK(o->metadata == NULL);
    seen->created[seen->count++] = o->created;
    return true;
}

/* Count the operations with this status and of this kind (NULL: any), at most
 * 50. They must be listed the newest first. */
static inline int operations_like(struct store *s, const char *status,
                                  const char *kind) {
    struct seen_operations seen = {0};
    struct operation_filter filter = {
        .page.limit = 50, .status = status, .kind = kind};
    CHECK_NUMBER(store_operation_list(s, &filter, see_operation, &seen, NULL),
                 0);
    for (int i = 1; i < seen.count; i++)
        CHECK(seen.created[i - 1] >= seen.created[i]);
    return seen.count;
}

#endif
