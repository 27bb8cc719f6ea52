/* stored.c: see stored.h. */
#include "api/stored.h"
#include <stdlib.h>
#include <string.h>

bool operation_is_active(const char *status) {
    return strcmp(status, "PENDING") == 0 || strcmp(status, "ASSIGNED") == 0 ||
           strcmp(status, "EXECUTING") == 0;
}

/* An operation whose end could not be stored looks active: call it failed, or
 * clients would wait for it forever. */
static void settle_lost(struct operation_row *row) {
    if (!operation_is_active(row->status))
        return;
    free(row->error);
    row->error = strdup("the engine could not store how this operation ended");
    row->status = "FAILED";
    row->finished = row->created;
}

int operation_stored(struct request *r, const char *uuid,
                     struct operation_row *row, struct fault *f) {
    if (store_operation_get(request_engine(r)->store, uuid, row, f) < 0)
        return -1;
    settle_lost(row);
    return 0;
}

/* Add the completion that a cut log lacks: clients wait for that event. */
static void complete_log(struct event_log *log,
                         const struct operation_row *row) {
    if (!event_log_is_cut(log))
        return;
    struct buffer *b = event_begin(log, "completion", 0);
    json_add_string(b, "status", row->status);
    json_add_int(b, "duration_ms", (row->finished - row->created) / 1000);
    json_add_optional(b, "result_image_uuid", row->result_image);
    json_add_string(b, "error", row->error);
    event_end(log);
}

struct event_log *operation_stored_log(struct request *r,
                                       const struct operation_row *row,
                                       struct fault *f) {
    struct engine *e = request_engine(r);
    char *text;
    size_t length;
    if (store_operation_log(e->store, row->uuid, &text, &length, f) < 0)
        return NULL;
    struct event_log *log =
        event_log_load(e->dir_fd, row->uuid, text, length, f);
    if (log)
        complete_log(log, row);
    return log;
}
