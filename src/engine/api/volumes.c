/* volumes.c: /volumes, an extension (http-api.md §4.31). */
#define _GNU_SOURCE
#include "operation/volumes.h"
#include "api/api.h"
#include "api/routes.h"
#include "base/json.h"
#include "base/work.h"
#include "layer/volumes.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A volume whose size may have to be found out. */
struct sized {
    struct stored_volume volume;
    size_t runs;
};

/* Worker. A size is kept until the next run begins to use the volume. One that
 * cannot be read now, because runs change it, stays unknown. */
static void measure(struct engine *e, struct sized *v) {
    int64_t bytes;
    if (v->volume.size != VOLUME_UNMEASURED ||
        volume_measure(e->layers, &v->volume, &bytes, NULL) < 0)
        return;
    if (v->runs == 0)
        store_volume_measured(e->store, &v->volume, bytes, NULL);
    v->volume.size = bytes;
}

static void write_volume(struct buffer *b, const struct sized *v) {
    json_open(b, NULL, '{');
    json_add_string(b, "name", v->volume.name);
    if (v->volume.size == VOLUME_UNMEASURED)
        json_add_optional(b, "size", NULL);
    else
        json_add_int(b, "size", v->volume.size);
    if (v->volume.quota)
        json_add_int(b, "quota", v->volume.quota);
    else
        json_add_optional(b, "quota", NULL);
    json_add_time(b, "created_at", v->volume.created);
    if (v->volume.used)
        json_add_time(b, "used_at", v->volume.used);
    else
        json_add_optional(b, "used_at", NULL);
    json_add_int(b, "runs", (int64_t)v->runs);
    json_close(b, '}');
}

/* ---- all of them ---- */

struct volume_list {
    struct job job;
    struct request *request; /* NULL: the client has gone */
    struct sized *list;
    size_t count, capacity;
    struct fault fault;
};

static bool add(void *arg, const struct stored_volume *v) {
    struct volume_list *all = arg;
    if (all->count == all->capacity) {
        size_t capacity = all->capacity ? 2 * all->capacity : 16;
        struct sized *more = realloc(all->list, capacity * sizeof *more);
        if (!more) {
            fault_memory(&all->fault);
            return false;
        }
        all->list = more;
        all->capacity = capacity;
    }
    all->list[all->count++] = (struct sized){.volume = *v};
    return true;
}

static void list_work(struct job *j) {
    struct volume_list *all = (struct volume_list *)j;
    for (size_t i = 0; i < all->count; i++)
        measure(job_engine(j), &all->list[i]);
}

static void list_free(struct volume_list *all) {
    free(all->list);
    free(all);
}

static void tell_list(struct volume_list *all) {
    struct buffer b;
    if (all->request) {
        api_open_list(&b, "volumes");
        for (size_t i = 0; i < all->count; i++)
            write_volume(&b, &all->list[i]);
        request_on_gone(all->request, NULL, NULL);
        api_reply_list(all->request, &b, 0, NULL);
    }
    list_free(all);
}

static void list_done(struct job *j) {
    tell_list((struct volume_list *)j);
}

static void list_gone(void *arg) {
    ((struct volume_list *)arg)->request = NULL;
}

static void volumes_list(struct request *r) {
    struct engine *e = request_engine(r);
    bool unmeasured;
    struct volume_list *all = calloc(1, sizeof *all);
    struct fault f;
    if (!all) {
        reply_memory(r);
        return;
    }
    if (url_flag(request_url(r), "unmeasured", &unmeasured, &f) < 0 ||
        store_volume_list(e->store, add, all, &f) < 0 || all->fault.status) {
        reply_fault(r, all->fault.status ? &all->fault : &f);
        list_free(all);
        return;
    }
    for (size_t i = 0; i < all->count; i++)
        all->list[i].runs = volume_runs(e, all->list[i].volume.name);
    all->request = r;
    request_on_gone(r, list_gone, all);
    if (unmeasured)
        tell_list(all);
    else
        job_start(&e->workers, &all->job, list_work, list_done);
}

/* ---- one ---- */

static void reply_volume(struct request *r, void *state) {
    const struct sized *v = state;
    struct buffer b;
    buffer_init(&b, 4096);
    write_volume(&b, v);
    reply_json(r, 200, &b);
}

static int find_one(struct engine *e, void *state, struct fault *f) {
    struct sized *v = state;
    if (store_volume_get(e->store, v->volume.name, &v->volume, f) < 0)
        return -1;
    measure(e, v);
    return 0;
}

/* The state of a request for the volume that its path names. */
static struct sized *named(struct request *r) {
    const char *name = request_param(r, 0);
    struct sized *v = calloc(1, sizeof *v);
    if (v) {
        snprintf(v->volume.name, sizeof v->volume.name, "%s", name);
        v->runs = volume_runs(request_engine(r), name);
    }
    return v;
}

/* No volume has a name that is too long, nor a shortened one. */
static bool is_possible(struct request *r) {
    struct fault f;
    if (volume_check_name(request_param(r, 0), NULL) == 0)
        return true;
    fault_set(&f, 404, "no volume \"%.256s\"", request_param(r, 0));
    reply_fault(r, &f);
    return false;
}

static void volume_get(struct request *r) {
    if (is_possible(r))
        api_change(r, named(r), find_one, reply_volume);
}

/* ---- making one ---- */

struct wanted {
    struct sized sized; /* first: reply_volume() takes it */
    int64_t quota;
    bool has_quota;
};

static int make_one(struct engine *e, void *state, struct fault *f) {
    struct wanted *w = state;
    struct stored_volume *v = &w->sized.volume;
    char name[TAG_SIZE];
    memcpy(name, v->name, sizeof name);
    int made = volume_find_or_make(e->layers, name, w->quota, v, f);
    if (made < 0)
        return -1;
    if (made == 0 && w->has_quota) {
        if (store_volume_limit(e->store, v, w->quota, f) < 0)
            return -1;
        v->quota = w->quota;
    }
    measure(e, &w->sized);
    return 0;
}

static void volume_post(struct request *r) {
    struct wanted *w = calloc(1, sizeof *w);
    struct fields in;
    const char *name = NULL;
    struct fault f;
    fields_init(&in, request_json(r), "");
    if (!field_string(&in, "name", &name) && !in.fault.status)
        field_refuse(&in, "name", "is missing");
    if (w)
        w->has_quota = field_int(&in, "quota", 0, INT64_MAX, &w->quota);
    if (in.fault.status || !w || volume_check_name(name, &f) < 0) {
        if (!w)
            reply_memory(r);
        else
            reply_fault(r, in.fault.status ? &in.fault : &f);
        free(w);
        return;
    }
    snprintf(w->sized.volume.name, sizeof w->sized.volume.name, "%s", name);
    w->sized.runs = volume_runs(request_engine(r), name);
    api_change(r, w, make_one, reply_volume);
}

/* ---- removing one ---- */

struct removal {
    struct job job;
    struct request *request; /* NULL: the client has gone */
    struct volume_use *use;
    char name[TAG_SIZE];
    struct fault fault;
};

static void removal_work(struct job *j) {
    struct removal *x = (struct removal *)j;
    volume_remove(job_engine(j)->layers, x->name, &x->fault);
}

static void removal_done(struct job *j) {
    struct removal *x = (struct removal *)j;
    volume_end_removal(x->use);
    operations_housekeep(job_engine(j)->operations); /* empties the trash */
    if (x->request) {
        request_on_gone(x->request, NULL, NULL);
        if (x->fault.status)
            reply_fault(x->request, &x->fault);
        else
            reply_empty(x->request, 204);
    }
    free(x);
}

static void removal_gone(void *arg) {
    ((struct removal *)arg)->request = NULL;
}

static void volume_delete(struct request *r) {
    struct engine *e = request_engine(r);
    struct fault f;
    if (!is_possible(r))
        return;
    struct removal *x = calloc(1, sizeof *x);
    if (!x) {
        reply_memory(r);
        return;
    }
    snprintf(x->name, sizeof x->name, "%s", request_param(r, 0));
    x->use = volume_begin_removal(e, x->name, &f);
    if (!x->use) {
        free(x);
        reply_fault(r, &f);
        return;
    }
    x->request = r;
    request_on_gone(r, removal_gone, x);
    job_start(&e->workers, &x->job, removal_work, removal_done);
}

const struct route volumes_routes[] = {
    {"GET", "volumes", .handle = volumes_list},
    {"POST", "volumes", BODY_JSON, .handle = volume_post},
    {"GET", "volumes/*", .handle = volume_get},
    {"DELETE", "volumes/*", .handle = volume_delete},
    {.method = NULL},
};
