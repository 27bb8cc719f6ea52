/* mounts.c: see mounts.h. */
#define _GNU_SOURCE
#include "operation/mounts.h"
#include "base/clock.h"
#include "base/descriptor.h"
#include "base/url.h"
#include "layer/volumes.h"
#include "operation/volumes.h"
#include "sandbox/hostdir.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- reading ---- */

static const char *const names[] = {"volumes", "mounts"};

/* What every sandbox has of its own. */
static bool is_taken(const char *path) {
    static const char *const taken[] = {"/proc", "/sys", "/dev"};
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
        size_t length = strlen(taken[i]);
        if (strncmp(path, taken[i], length) == 0 &&
            (path[length] == '/' || !path[length]))
            return true;
    }
    return !path[1];
}

static void read_target(struct fields *r, const char *name, const char *given,
                        struct run_mount *out) {
    struct fault why;
    if (given[0] != '/')
        field_refuse(r, name, "has \"%.100s\": it must be an absolute path",
                     given);
    else if (strlen(given) >= 4096)
        field_refuse(r, name, "has a path longer than 4095 bytes");
    else if (!(out->target = path_normal(given, &why)))
        field_refuse(r, name, "has \"%.100s\": %.200s", given, why.message);
    else if (is_taken(out->target))
        field_refuse(r, name,
                     "has \"%.100s\": nothing can be mounted at /, or at or "
                     "below /proc, /sys and /dev",
                     given);
}

static void read_volume(struct fields *r, const char *key, const json_t *value,
                        struct run_mount *out) {
    struct fault why;
    out->volume = json_string_value(value);
    if (!out->volume)
        field_refuse(r, "volumes", "must map paths to names of volumes");
    else if (volume_check_name(out->volume, &why) < 0)
        field_refuse(r, "volumes", "has a %.300s", why.message);
    else
        read_target(r, "volumes", key, out);
}

static void read_directory(struct fields *r, const char *key,
                           const json_t *value, struct run_mount *out) {
    char where[160];
    struct fields member;
    out->path = json_string_value(value);
    if (json_is_object(value)) {
        snprintf(where, sizeof where, "mounts[\"%.100s\"].", key);
        fields_init(&member, value, where);
        field_string(&member, "path", &out->path);
        field_bool(&member, "noexec", &out->noexec);
        if (member.fault.status) {
            r->fault = member.fault;
            return;
        }
    }
    if (!out->path)
        field_refuse(r, "mounts",
                     "must map paths to paths of directories, or to objects "
                     "with a path");
    else if (out->path[0] != '/' || strlen(out->path) >= 4096)
        field_refuse(r, "mounts",
                     "has \"%.100s\": a directory of the host is named by its "
                     "absolute path",
                     out->path);
    else
        read_target(r, "mounts", key, out);
}

static bool is_inside(const char *path, const char *directory) {
    size_t length = strlen(directory);
    return strncmp(path, directory, length) == 0 &&
           (path[length] == '/' || !path[length]);
}

/* A mount in another one would be made by writing in that. */
static void check_overlap(struct fields *r, const struct run_mounts *all) {
    for (size_t i = 0; i < all->count; i++)
        for (size_t k = 0; k < all->count; k++)
            if (i != k && !r->fault.status &&
                is_inside(all->list[i].target, all->list[k].target))
                field_refuse(r, all->list[i].volume ? "volumes" : "mounts",
                             "has \"%.100s\" at or below \"%.100s\", where "
                             "something else is mounted",
                             all->list[i].target, all->list[k].target);
}

void run_mounts_parse(struct fields *r, struct run_mounts *all) {
    const json_t *given[2] = {NULL, NULL};
    const char *key;
    json_t *value;
    for (int i = 0; i < 2; i++)
        field_object(r, names[i], &given[i]);
    size_t count = json_object_size(given[0]) + json_object_size(given[1]);
    if (count == 0 || r->fault.status)
        return;
    if (count > MOUNTS_MAX) {
        field_refuse(r, given[0] ? "volumes" : "mounts",
                     "has too many entries: a run may have %d in all",
                     MOUNTS_MAX);
        return;
    }
    all->list = calloc(count, sizeof *all->list);
    if (!all->list) {
        fault_memory(&r->fault);
        return;
    }
    for (int i = 0; i < 2; i++) {
        json_object_foreach((json_t *)given[i], key, value) {
            struct run_mount *m = &all->list[all->count++];
            m->tree = -1;
            if (i == 0)
                read_volume(r, key, value, m);
            else
                read_directory(r, key, value, m);
            if (r->fault.status)
                return;
        }
    }
    check_overlap(r, all);
}

void run_mounts_echo(struct buffer *b, const json_t *request) {
    for (int i = 0; i < 2; i++) {
        const json_t *given = json_object_get(request, names[i]);
        if (json_object_size(given) > 0)
            json_add_value(b, names[i], given);
    }
}

/* ---- having them ---- */

/* Each takes a descriptor while its run waits, and another on the way to the
 * sandbox. */
static int hold_directories(struct engine *e, struct run_mounts *all,
                            struct fault *f) {
    size_t count = 0;
    for (size_t i = 0; i < all->count; i++)
        count += all->list[i].path != NULL;
    if (count > e->descriptors.mounts - e->mounts)
        return fault_set(f, 429,
                         "runs have %zu directories of the host mounted or "
                         "wait with them, and there are descriptors for "
                         "%zu. " DESCRIPTORS_FIX,
                         e->mounts, e->descriptors.mounts);
    e->mounts += count;
    all->engine = e;
    all->held = count;
    return 0;
}

int run_mounts_hold(struct engine *e, struct run_mounts *all, struct fault *f) {
    if (hold_directories(e, all, f) < 0)
        return -1;
    for (size_t i = 0; i < all->count; i++) {
        struct run_mount *m = &all->list[i];
        if (m->volume && !(m->use = volume_hold(e, m->volume, f)))
            return -1;
    }
    return 0;
}

static int open_volume(const struct engine *e, struct run_mount *m,
                       struct fault *f) {
    struct stored_volume *v = &m->stored;
    if (volume_find_or_make(e->layers, m->volume, 0, v, f) < 0)
        return -1;
    /* What it holds now is not what this run wrote. */
    m->bytes = v->size;
    if (v->quota && v->size == VOLUME_UNMEASURED &&
        volume_measure(e->layers, v, &m->bytes, f) < 0)
        return -1;
    v->used = wall_microseconds();
    return store_volume_use(e->store, v, v->used, f);
}

int run_mounts_open(const struct engine *e, struct run_mounts *all, bool local,
                    struct fault *f) {
    static const char *const none[] = {NULL};
    struct hostdir_rules rules = {.data_dir = e->dir_fd,
                                  .socket_path = e->config->socket_path};
    if (!local) {
        rules.allowed_count = e->config->allowed_mount_count;
        rules.allowed = rules.allowed_count ? e->config->allowed_mounts : none;
    }
    for (size_t i = 0; i < all->count; i++) {
        struct run_mount *m = &all->list[i];
        if (m->volume && open_volume(e, m, f) < 0)
            return -1;
        if (m->path &&
            (m->tree = hostdir_open(m->path, m->noexec, &rules, f)) < 0)
            return -1;
    }
    return 0;
}

void run_mounts_close(struct run_mounts *all) {
    for (size_t i = 0; i < all->count; i++)
        drop_fd(&all->list[i].tree);
}

void run_mounts_release(struct run_mounts *all) {
    run_mounts_close(all);
    if (all->engine)
        all->engine->mounts -= all->held;
    all->held = 0;
    for (size_t i = 0; i < all->count; i++) {
        volume_release(all->list[i].use);
        all->list[i].use = NULL;
    }
}

void run_mounts_clear(struct run_mounts *all) {
    run_mounts_release(all);
    for (size_t i = 0; i < all->count; i++)
        free(all->list[i].target);
    free(all->list);
    all->list = NULL;
    all->count = 0;
}

struct sandbox_mount *run_mounts_list(const struct run_mounts *all) {
    struct sandbox_mount *list =
        all->count ? calloc(all->count, sizeof *list) : NULL;
    for (size_t i = 0; list && i < all->count; i++) {
        const struct run_mount *m = &all->list[i];
        list[i] = (struct sandbox_mount){
            .target = m->target,
            .volume = m->volume ? m->stored.directory : NULL,
            .tree = m->tree,
        };
    }
    return list;
}
