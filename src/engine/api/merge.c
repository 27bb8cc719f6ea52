/* merge.c: POST /merge: an image of two that came from one, an extension
 * (http-api.md §4.26). */
#define _GNU_SOURCE
#include "merge/merge.h"
#include "api/api.h"
#include "api/made.h"
#include "api/routes.h"
#include "base/json.h"
#include "view/item.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the request ---- */

/* Finds the image that a member names: a uuid or "tag:NAME". */
static bool read_image(struct request *r, struct fields *body, const char *name,
                       struct image *out) {
    const char *text = NULL;
    if (!field_string(body, name, &text) || !*text)
        return false;
    return store_image_resolve(request_engine(r)->store, text, out,
                               &body->fault) == 0;
}

static void read_prefer(struct fields *body, enum merge_prefer *out) {
    const char *text = NULL;
    if (!field_string(body, "prefer", &text) || !*text)
        return;
    if (strcmp(text, "ours") == 0)
        *out = MERGE_OURS;
    else if (strcmp(text, "theirs") == 0)
        *out = MERGE_THEIRS;
    else
        field_refuse(body, "prefer", "must be \"ours\" or \"theirs\"");
}

static int read_merge(struct request *r, struct merge_request *out,
                      struct fault *f) {
    const char *tag = NULL;
    struct fields body;
    *out = (struct merge_request){.timeout = IMPORT_TIMEOUT};
    fields_init(&body, request_json(r), "");
    if (!read_image(r, &body, "ours", &out->ours) && !body.fault.status)
        field_refuse(&body, "ours", "is missing");
    if (!body.fault.status && !read_image(r, &body, "theirs", &out->theirs) &&
        !body.fault.status)
        field_refuse(&body, "theirs", "is missing");
    if (!body.fault.status)
        read_image(r, &body, "base", &out->base);
    read_prefer(&body, &out->prefer);
    field_int(&body, "timeout", 1, RUN_TIMEOUT_MAX, &out->timeout);
    if (field_string(&body, "tag", &tag) && *tag && !(out->tag = strdup(tag)))
        fault_memory(&body.fault);
    if (!body.fault.status)
        return 0;
    *f = body.fault;
    merge_request_clear(out);
    return -1;
}

/* ---- the reply ---- */

static const char *kind_of(mode_t mode) {
    return S_ISREG(mode)   ? "file"
           : S_ISDIR(mode) ? "directory"
           : S_ISLNK(mode) ? "symlink"
                           : "other";
}

static void add_version(struct buffer *b, const char *key,
                        const struct placed *p) {
    if (!p->st.st_mode) {
        json_add_optional(b, key, NULL);
        return;
    }
    json_open(b, key, '{');
    json_add_string(b, "kind", kind_of(p->st.st_mode));
    json_add_int(b, "size", p->st.st_size);
    json_add_int(b, "mode", p->st.st_mode);
    json_add_int(b, "uid", p->st.st_uid);
    json_add_int(b, "gid", p->st.st_gid);
    json_close(b, '}');
}

static void add_conflicts(struct buffer *b, const struct merge_conflicts *c) {
    char path[INSPECT_PATH + 1];
    json_open(b, "conflicts", '[');
    for (const struct merge_conflict *one = c->first; one; one = one->next) {
        snprintf(path, sizeof path, "/%s", one->path);
        json_open(b, NULL, '{');
        json_add_name(b, "path", path);
        json_add_string(b, "conflict", one->kind);
        add_version(b, "base", &one->base);
        add_version(b, "ours", &one->ours);
        add_version(b, "theirs", &one->theirs);
        json_close(b, '}');
    }
    json_close(b, ']');
    json_add_int(b, "conflict_count", c->count);
}

static void reply_merge(struct request *r, struct operation *op) {
    const struct merge_outcome *o = operation_outcome(op);
    struct operation_row row;
    struct buffer b;
    if (operation_fault(op)->status && !o->refused) {
        reply_fault(r, operation_fault(op));
        return;
    }
    operation_fill_row(op, &row);
    buffer_init(&b, REPLY_MAX);
    json_open(&b, NULL, '{');
    if (o->refused)
        json_add_optional(&b, "image", NULL);
    else
        image_write(r, &b, "image", &o->image);
    json_add_string(&b, "base", o->base);
    add_conflicts(&b, &o->conflicts);
    json_add_string(&b, "operation_uuid", row.uuid);
    json_close(&b, '}');
    reply_json(r, o->refused ? 200 : 201, &b);
}

static void merge(struct request *r) {
    struct merge_request m;
    struct operation *op = NULL;
    struct fault f;
    if (read_merge(r, &m, &f) == 0)
        op = operation_merge(request_engine(r)->operations, &m, &f);
    if (op)
        reply_when_made(r, op, "merge", reply_merge);
    else
        reply_fault(r, &f);
}

const struct route merge_routes[] = {
    {"POST", "merge", BODY_JSON, .handle = merge},
    {.method = NULL},
};
