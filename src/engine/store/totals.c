/* totals.c: how much the database knows of, as sums. */
#define _GNU_SOURCE
#include "base/scope.h"
#include "store/database.h"

int store_totals(struct store *s, struct store_totals *out, struct fault *f) {
    pthread_mutex_t *held CLEANUP(store_release) = store_acquire(s);
    (void)held;
    sqlite3_stmt *q CLEANUP(store_done) = store_query(
        s, QUERY_TOTALS,
        "SELECT (SELECT count(*) FROM image),"
        " (SELECT count(*) FROM image WHERE tag IS NOT NULL),"
        " (SELECT count(*) FROM layer),"
        " (SELECT coalesce(sum(size), 0) FROM layer),"
        " (SELECT count(*) FROM file),"
        " (SELECT coalesce(sum(size), 0) FROM file),"
        " (SELECT count(*) FROM volume),"
        " (SELECT coalesce(sum(max(size, 0)), 0) FROM volume),"
        " (SELECT count(*) FROM operation),"
        " (SELECT coalesce(sum(length(log)), 0) FROM operation_log)",
        f);
    if (!q || store_row(s, q, f) != 1)
        return -1;
    int64_t *const fields[] = {
        &out->images,     &out->tagged,     &out->layers,  &out->layer_bytes,
        &out->files,      &out->file_bytes, &out->volumes, &out->volume_bytes,
        &out->operations, &out->log_bytes};
    for (int i = 0; i < (int)(sizeof fields / sizeof *fields); i++)
        *fields[i] = sqlite3_column_int64(q, i);
    return 0;
}
