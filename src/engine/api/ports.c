/* ports.c: connections to what listens in a sandbox (http-api.md §4.29), an
 * extension. */
#include "operation/ports.h"
#include "api/active.h"
#include "api/api.h"
#include "api/routes.h"
#include <string.h>

enum { PORT_MAX = 65535, PATH_MAX_UNIX = 107 };

static int read_port(const json_t *body, struct port_request *out,
                     struct fault *f) {
    struct fields in;
    *out = (struct port_request){0};
    fields_init(&in, body, "");
    field_int(&in, "port", 1, PORT_MAX, &out->port);
    field_string(&in, "path", &out->path);
    field_string(&in, "listen", &out->listen);
    if (!in.fault.status && !out->port == !out->path)
        field_refuse(&in, "port", "or `path` is needed, one of them");
    if (!in.fault.status && out->path &&
        (*out->path != '/' || strlen(out->path) > PATH_MAX_UNIX))
        field_refuse(&in, "path", "must be absolute, and at most %d bytes",
                     PATH_MAX_UNIX);
    *f = in.fault;
    return f->status ? -1 : 0;
}

static void port_create(struct request *r) {
    struct port_request wanted;
    struct fault f;
    struct operation *op = operation_find_active(r, &f);
    int id = -1;
    if (op && read_port(request_json(r), &wanted, &f) == 0)
        id = ports_add(op, &wanted, &f);
    if (id < 0) {
        reply_fault(r, &f);
        return;
    }
    struct buffer b;
    buffer_init(&b, 1024);
    ports_write(&b, op, id);
    reply_json(r, 201, &b);
}

static void port_list(struct request *r) {
    struct fault f;
    struct operation *op = operation_find_active(r, &f);
    struct buffer b;
    api_open_list(&b, "ports");
    if (op)
        ports_write_all(&b, op);
    api_reply_list(r, &b, op ? 0 : -1, &f);
}

static void port_delete(struct request *r) {
    const char *text = request_param(r, 1);
    struct fault f;
    int64_t id;
    struct operation *op = operation_find_active(r, &f);
    if (op && (!parse_int(text, &id) || id < 1 || id > INT32_MAX)) {
        fault_set(&f, 404, "no port \"%.40s\"", text);
        op = NULL;
    }
    if (!op || ports_remove(op, (int)id, &f) < 0)
        reply_fault(r, &f);
    else
        reply_empty(r, 204);
}

const struct route ports_routes[] = {
    {"POST", "operations/*/ports", BODY_JSON, .handle = port_create},
    {"GET", "operations/*/ports", .handle = port_list},
    {"DELETE", "operations/*/ports/*", .handle = port_delete},
    {.method = NULL},
};
