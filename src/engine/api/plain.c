/* plain.c: see plain.h. */
#include "api/plain.h"
#include "operation/engine.h"

bool api_is_plain(const struct request *r) {
    const struct engine *e = request_context(r);
    return e->config->plain_api;
}

const char *extension_header(const struct request *r, const char *name) {
    return api_is_plain(r) ? NULL : request_header(r, name);
}

const char *extension_parameter(const struct request *r, const char *name) {
    return api_is_plain(r) ? NULL : url_parameter(request_url(r), name);
}

static int refuse(const json_t *object, const char *where, const char *name,
                  struct fault *f) {
    const json_t *value = json_object_get(object, name);
    if (!value || json_is_null(value) || json_is_false(value))
        return 0;
    return fault_set(f, 400,
                     "%s%s is an extension, and this engine was started with "
                     "--plain-api",
                     where, name);
}

static int check_limits(const json_t *limits, struct fault *f) {
    for (int k = 0; k < CGROUP_KINDS; k++)
        if (refuse(limits, "resources_limits.", limit_table[k].field, f) < 0)
            return -1;
    return refuse(limits, "resources_limits.", "shm_bytes", f);
}

static int check_networking(const json_t *networking, struct fault *f) {
    static const char *const names[] = {"allow", "deny", "resolve"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (refuse(networking, "networking.", names[i], f) < 0)
            return -1;
    return 0;
}

static int check_files(const json_t *files, struct fault *f) {
    const char *path;
    json_t *spec;
    json_object_foreach((json_t *)files, path, spec) {
        (void)path;
        if (refuse(spec, "files: ", "xattrs", f) < 0)
            return -1;
    }
    return 0;
}

int plain_check_run(const struct request *r, struct fault *f) {
    static const char *const names[] = {"image_etc", "volumes", "mounts",
                                        "tty",       "box",     "trace"};
    json_t *body = (json_t *)request_json(r); /* it is this request's own */
    if (!api_is_plain(r))
        return 0;
    /* Clients name the user beside the number that servers need. */
    if (!json_is_integer(json_object_get(body, "uid")) &&
        refuse(body, "", "user", f) < 0)
        return -1;
    json_object_del(body, "user");
    json_object_del(body, "queue_timeout");
    json_object_del(body, "idempotency_key");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (refuse(body, "", names[i], f) < 0)
            return -1;
    if (check_limits(json_object_get(body, "resources_limits"), f) < 0 ||
        check_networking(json_object_get(body, "networking"), f) < 0)
        return -1;
    return check_files(json_object_get(body, "files"), f);
}
