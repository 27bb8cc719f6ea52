/* rest.h: what an engine gives back while nobody needs it. */
#ifndef CONTREE_COMMAND_REST_H
#define CONTREE_COMMAND_REST_H

#include "operation/operation.h"
#include <stdbool.h>

struct rest {
    struct engine *engine;
    uv_prepare_t turn;
    uv_timer_t timer;
    uint64_t rested_since;
};

/* Whether a request, an operation or a worker is at work. */
bool engine_is_busy(struct engine *e);

/* From now on: some seconds after the last work, once, memory that the next
 * work can do without goes back to the system. An engine at rest does not wake
 * up for this. */
void rest_watch(struct rest *r, struct engine *e);

#endif
