/* operation.c: one operation, from its making to its row in the store; see
 * operation.h. */
#define _GNU_SOURCE
#include "operation/operation.h"
#include "base/clock.h"
#include "base/log.h"
#include "operation/internal.h"
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct operation *operation_new(struct operations *all,
                                const struct operation_kind *kind,
                                const char *key) {
    struct operation *op = calloc(1, sizeof *op);
    if (!op)
        return NULL;
    if (key)
        operation_key_uuid(key, op->uuid);
    else
        uuid_ordered(op->uuid);
    op->log = event_log_new(all->engine->dir_fd, op->uuid);
    if (!op->log) {
        free(op);
        return NULL;
    }
    op->all = all;
    op->references = 1;
    op->kind = kind;
    op->status = "PENDING";
    op->created = wall_microseconds();
    op->next_spid = 1;
    result_init(&op->result, RESULT_KEPT_MAX);
    op->image_size = -1;
    all->count++;
    return op;
}

static void operation_free(struct operation *op) {
    op->all->count--;
    event_log_unref(op->log);
    result_clear(&op->result);
    op->kind->free(op);
    free(op->request);
    free(op);
}

void operation_unref(struct operation *op) {
    if (--op->references == 0)
        operation_free(op);
}

void operation_enlist(struct operation *op) {
    struct operations *all = op->all;
    op->listed = true;
    op->next = all->active;
    if (op->next)
        op->next->previous = op;
    all->active = op;
}

static void delist(struct operation *op) {
    if (op->next)
        op->next->previous = op->previous;
    if (op->previous)
        op->previous->next = op->next;
    else
        op->all->active = op->next;
    op->listed = false;
}

void operation_ended(struct operation *op) {
    op->references++; /* so that it outlives the waiters */
    if (op->listed) {
        delist(op);
        operation_unref(op);
    }
    event_log_finish(op->log);
    /* As the completion event says, which readers may see from now on. */
    op->result.layer_bytes = op->layer_bytes;
    result_add_limit(&op->result, op->limit, op->limit_value);
    while (op->waiters) {
        struct operation_waiter *w = op->waiters;
        op->waiters = w->next;
        w->done(w, op, true);
    }
    operation_unref(op);
}

void operation_hit_limit(struct operation *op, const char *limit,
                         int64_t value) {
    op->limit = limit;
    op->limit_value = value;
}

/* ---- looking ---- */

struct operation *operation_find(struct operations *all, const char *uuid) {
    struct operation *op = all->active;
    while (op && strcmp(op->uuid, uuid) != 0)
        op = op->next;
    return op;
}

/* The content of a version 8 uuid is up to the application (RFC 9562 §5.8). */
void operation_key_uuid(const char *key, char out[UUID_SIZE]) {
    unsigned char hash[SHA256_DIGEST_LENGTH];
    char hex[33];
    SHA256((const unsigned char *)key, strlen(key), hash);
    hash[6] = (hash[6] & 0x0f) | 0x80;
    hash[8] = (hash[8] & 0x3f) | 0x80;
    for (int i = 0; i < 16; i++)
        snprintf(hex + 2 * i, 3, "%02x", hash[i]);
    snprintf(out, UUID_SIZE, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8,
             hex + 12, hex + 16, hex + 20);
}

const char *operation_request(const struct operation *op) {
    return op->request;
}

const struct fault *operation_fault(const struct operation *op) {
    return &op->fault;
}

struct event_log *operation_log(const struct operation *op) {
    return op->log;
}

const struct result *operation_result(const struct operation *op) {
    return event_log_fault(op->log) || !result_is_whole(&op->result)
               ? NULL
               : &op->result;
}

void operations_visit(struct operations *all,
                      bool (*visit)(void *arg, struct operation *op),
                      void *arg) {
    for (struct operation *op = all->active; op; op = op->next)
        if (!visit(arg, op))
            return;
}

int operation_record(struct operation *op, struct fault *f) {
    struct operation_row row;
    if (op->recorded)
        return 0;
    operation_fill_row(op, &row);
    if (store_operation_add(op->all->engine->store, &row, f) < 0)
        return -1;
    op->recorded = true;
    return 0;
}

void operations_record(struct operations *all) {
    struct fault f;
    for (struct operation *op = all->active; op; op = op->next)
        if (operation_record(op, &f) < 0)
            log_line("operation %s: %s", op->uuid, f.message);
}

int operation_cancel(struct operation *op, struct fault *f) {
    if (op->concluded || op->cancelled)
        return fault_set(f, 409, "operation is not cancellable");
    op->cancelled = true;
    op->kind->cancel(op);
    return 0;
}

/* ---- the final state ---- */

static void write_completion(struct buffer *b, const struct operation *op,
                             const char *status) {
    json_add_string(b, "status", status);
    json_add_int(b, "duration_ms", (op->finished - op->created) / 1000);
    json_add_optional(b, "result_image_uuid", op->result_image);
    json_add_string(b, "error", op->fault.status ? op->fault.message : NULL);
    if (op->image_size >= 0)
        json_add_int(b, "image_size_bytes", op->image_size);
    if (op->kind->makes_layer)
        json_add_int(b, "layer_bytes", op->layer_bytes);
    if (op->limit)
        json_add_string(b, "limit", op->limit);
    if (op->limit_value)
        json_add_int(b, "limit_value", op->limit_value);
}

void operation_complete(struct operation *op, const char *status) {
    op->finished = wall_microseconds();
    event_log_hold(op->log);
    struct buffer *b = event_begin(op->log, "completion", 0);
    write_completion(b, op, status);
    event_end(op->log);
}

static int store_final(struct operation *op, const char *status,
                       const char *log, size_t length, struct fault *f) {
    struct store *store = op->all->engine->store;
    struct operation_row row;
    operation_fill_row(op, &row);
    row.status = status;
    return op->recorded ? store_operation_finish(store, &row, log, length, f)
                        : store_operation_note(store, &row, log, length, f);
}

void operation_settle(struct operation *op, const char *status) {
    size_t length;
    struct fault f;
    if (op->cancelled)
        op->fault.status = 0; /* the kill was wanted */
    operation_complete(op, status);
    const char *log = event_log_text(op->log, &length);
    if (store_final(op, status, log, length, &f) < 0) {
        log_line("operation %s: %s", op->uuid, f.message);
        if (!op->fault.status)
            op->fault = f;
        status = "FAILED";
        /* Without the log the row may still fit on the disk. */
        if (store_final(op, status, "", 0, &f) < 0)
            log_line("operation %s is lost: %s", op->uuid, f.message);
    }
    op->status = status;
    op->recorded = true;
    operation_ended(op);
}

void operation_fill_row(const struct operation *op, struct operation_row *out) {
    *out = (struct operation_row){
        .kind = op->kind->name,
        .status = op->status,
        .error = op->fault.status ? (char *)op->fault.message : NULL,
        .created = op->created,
        .finished = op->finished,
        .consumed_cpu = op->cpu,
        .consumed_memory = op->memory,
        .image_size = op->image_size,
        .tag = (char *)op->tag,
        .metadata = op->request,
        .paused = op->paused,
    };
    memcpy(out->uuid, op->uuid, UUID_SIZE);
    memcpy(out->image, op->image.uuid, UUID_SIZE);
    memcpy(out->result_image, op->result_image, UUID_SIZE);
}
