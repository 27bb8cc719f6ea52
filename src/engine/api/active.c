/* active.c: see active.h. */
#include "api/active.h"

struct operation *operation_find_active(struct request *r, struct fault *f) {
    struct engine *e = request_engine(r);
    struct operation_row row;
    char uuid[UUID_SIZE];
    if (api_uuid(r, 0, "operation", uuid, f) < 0)
        return NULL;
    struct operation *op = operation_find(e->operations, uuid);
    if (!op && store_operation_get(e->store, uuid, &row, f) == 0) {
        operation_row_clear(&row);
        fault_set(f, 409, "the operation is not running any more");
    }
    return op;
}
