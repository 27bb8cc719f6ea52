/* images.c: /images and the tags of images (http-api.md §4.1 to §4.4). */
#include "api/api.h"
#include "api/routes.h"
#include "base/buffer.h"
#include "base/fault.h"
#include "base/uuid.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct image_listing {
    struct request *request;
    struct buffer text;
};

static bool add_image(void *arg, const struct image *i) {
    struct image_listing *l = arg;
    image_write(l->request, &l->text, NULL, i);
    return true;
}

static int read_filter(struct request *r, struct image_filter *out,
                       struct fault *f) {
    const struct url *u = request_url(r);
    *out = (struct image_filter){.tag_prefix = url_parameter(u, "tag"),
                                 .uuid_prefix = url_parameter(u, "uuid")};
    if (out->tag_prefix && tag_check(out->tag_prefix, f) < 0)
        return -1;
    return api_page(r, &out->page, f) < 0 ||
                   url_flag(u, "tagged", &out->tagged, f) < 0
               ? -1
               : 0;
}

static void images_list(struct request *r) {
    struct image_filter filter;
    struct fault f;
    struct image_listing l = {.request = r};
    char uuid[UUID_SIZE];
    api_open_list(&l.text, "images");
    int result = read_filter(r, &filter, &f);
    /* A malformed uuid matches no image. */
    bool none = result == 0 && filter.uuid_prefix &&
                !uuid_begins(filter.uuid_prefix, uuid);
    if (filter.uuid_prefix)
        filter.uuid_prefix = uuid;
    if (result == 0 && !none)
        result = store_image_list(request_engine(r)->store, &filter, add_image,
                                  &l, &f);
    api_reply_list(r, &l.text, result, &f);
}

struct tag_change {
    char uuid[UUID_SIZE], tag[TAG_SIZE];
    bool named; /* remove `tag` only, not any tag */
    struct image image;
};

static struct tag_change *tag_change_new(struct request *r, const char *tag,
                                         struct fault *f) {
    struct tag_change *c = calloc(1, sizeof *c);
    if (!c || api_uuid(r, 0, "image", c->uuid, f) < 0) {
        if (!c)
            fault_memory(f);
        free(c);
        return NULL;
    }
    c->named = tag != NULL;
    if (tag && tag_check(tag, f) < 0) {
        free(c);
        return NULL;
    }
    if (tag)
        snprintf(c->tag, sizeof c->tag, "%s", tag);
    return c;
}

static int set_tag(struct engine *e, void *state, struct fault *f) {
    struct tag_change *c = state;
    if (store_tag_set(e->store, c->uuid, c->tag, f) < 0)
        return -1;
    if (store_image_by_uuid(e->store, c->uuid, &c->image, f) < 0)
        return -1;
    image_clear(&c->image); /* only plain members are written */
    return 0;
}

static void reply_tagged(struct request *r, void *state) {
    struct tag_change *c = state;
    struct buffer b;
    buffer_init(&b, 4096);
    image_write(r, &b, NULL, &c->image);
    reply_json(r, 200, &b);
}

static void image_tag_set(struct request *r) {
    const char *tag = NULL;
    struct fields fields;
    fields_init(&fields, request_json(r), "");
    if (!field_string(&fields, "tag", &tag) && !fields.fault.status)
        field_refuse(&fields, "tag", "is missing");
    struct tag_change *c =
        fields.fault.status ? NULL : tag_change_new(r, tag, &fields.fault);
    if (c)
        api_change(r, c, set_tag, reply_tagged);
    else
        reply_fault(r, &fields.fault);
}

static int remove_tag(struct engine *e, void *state, struct fault *f) {
    struct tag_change *c = state;
    return store_tag_remove(e->store, c->uuid, c->named ? c->tag : NULL, f);
}

static void reply_untagged(struct request *r, void *state) {
    (void)state;
    reply_empty(r, 204);
}

static void image_tag_remove(struct request *r) {
    struct fault f;
    struct tag_change *c =
        tag_change_new(r, url_parameter(request_url(r), "tag"), &f);
    if (c)
        api_change(r, c, remove_tag, reply_untagged);
    else
        reply_fault(r, &f);
}

/* Copy a member; NULL if it is absent, null or "". */
static void read_text(struct fields *fields, const char *name, char **out) {
    const char *text = NULL;
    if (field_string(fields, name, &text) && *text && !(*out = strdup(text)))
        fault_memory(&fields->fault);
}

static void read_registry(struct fields *body, struct import_request *out) {
    const json_t *object = NULL;
    struct fields registry, login;
    if (!field_object(body, "registry", &object)) {
        if (!body->fault.status)
            field_refuse(body, "registry", "is missing");
        return;
    }
    fields_init(&registry, object, "registry.");
    read_text(&registry, "url", &out->url);
    if (!out->url && !registry.fault.status)
        field_refuse(&registry, "url", "is missing");
    if (field_object(&registry, "credentials", &object)) {
        fields_init(&login, object, "registry.credentials.");
        read_text(&login, "username", &out->username);
        read_text(&login, "password", &out->password);
        if (!out->username != !out->password && !login.fault.status)
            field_refuse(&login, out->username ? "password" : "username",
                         "is missing: give both, or neither for an anonymous "
                         "import");
        registry.fault = login.fault;
    }
    body->fault = registry.fault;
}

static int read_import(struct request *r, struct import_request *out,
                       struct fault *f) {
    struct fields fields;
    *out = (struct import_request){.timeout = IMPORT_TIMEOUT};
    fields_init(&fields, request_json(r), "");
    read_registry(&fields, out);
    read_text(&fields, "tag", &out->tag);
    field_int(&fields, "timeout", 1, RUN_TIMEOUT_MAX, &out->timeout);
    if (!fields.fault.status)
        return 0;
    *f = fields.fault;
    import_request_clear(out);
    return -1;
}

static void images_import(struct request *r) {
    struct import_request import;
    struct operation_row row;
    struct fault f;
    struct buffer b;
    struct operation *op = NULL;
    if (read_import(r, &import, &f) == 0)
        op = operation_import(request_engine(r)->operations, &import, &f);
    if (!op || operation_record(op, &f) < 0) {
        reply_fault(r, &f);
        return;
    }
    operation_fill_row(op, &row);
    buffer_init(&b, 4096);
    json_open(&b, NULL, '{');
    json_add_string(&b, "uuid", row.uuid);
    json_close(&b, '}');
    request_set_location(r, row.uuid);
    reply_json(r, 201, &b);
}

const struct route images_routes[] = {
    {"GET", "images", .handle = images_list},
    {"POST", "images/import", BODY_JSON, .handle = images_import},
    {"PATCH", "images/*/tag", BODY_JSON, .handle = image_tag_set},
    {"DELETE", "images/*/tag", .handle = image_tag_remove},
    {.method = NULL},
};
