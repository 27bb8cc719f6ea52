/* whoami.c: GET /whoami (http-api.md §5.15). */
#include "api/api.h"
#include "api/plain.h"
#include "api/routes.h"
#include "base/buffer.h"

static void write_permissions(struct buffer *b) {
    static const char *const names[] = {"import", "spawn",  "spawn_disposable",
                                        "list",   "cancel", "set_image_tag"};
    json_open(b, "permissions", '{');
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        json_add_bool(b, names[i], true);
    json_close(b, '}');
}

static void write_limits(struct buffer *b, const struct engine_config *c) {
    json_open(b, "limits", '{');
    json_add_int(b, "instance_max_timeout", RUN_TIMEOUT_MAX);
    json_add_int(b, "instance_max_concurrency", (int64_t)c->max_runs);
    json_add_int(b, "instance_max_layer_bytes", RUN_LAYER_BYTES);
    json_add_int(b, "images_import_max_timeout", RUN_TIMEOUT_MAX);
    json_add_int(b, "images_import_max_concurrency", IMPORTS_AT_A_TIME);
    json_close(b, '}');
}

/* Those that a client must know of before it uses them: a server that lacks
 * `airlock` would connect a run to everything. */
static void write_extensions(struct buffer *b) {
    json_open(b, "extensions", '[');
    json_add_string(b, NULL, "airlock");
    json_close(b, ']');
}

static void whoami_get(struct request *r) {
    const struct operations *all = request_engine(r)->operations;
    struct buffer b;
    buffer_init(&b, 4096);
    json_open(&b, NULL, '{');
    /* There is one user, and no token that could expire. */
    json_add_string(&b, "token_uuid", "00000000-0000-0000-0000-000000000000");
    json_add_string(&b, "token_expiration", NULL);
    write_permissions(&b);
    write_limits(&b, request_engine(r)->config);
    if (!api_is_plain(r))
        write_extensions(&b);
    json_open(&b, "operations_stat", '{');
    json_add_int(&b, "running_instances",
                 (int64_t)operations_running(all, "instance"));
    json_add_int(&b, "running_imports",
                 (int64_t)operations_running(all, "image_import"));
    json_close(&b, '}');
    json_close(&b, '}');
    reply_json(r, 200, &b);
}

const struct route whoami_routes[] = {
    {"GET", "whoami", .handle = whoami_get},
    {.method = NULL},
};
