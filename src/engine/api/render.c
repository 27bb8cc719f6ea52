/* render.c: see render.h. */
#include "api/render.h"
#include "api/plain.h"
#include "api/stored.h"
#include "base/clock.h"
#include "base/work.h"
#include "operation/result.h"
#include <stdlib.h>
#include <string.h>

enum {
    WRITE_HERE = 64 * 1024 /* longer metadata is written by a worker */
};

/* How an operation is told. */
struct form {
    int status;
    int spid; /* 0: the whole operation; else the result of that process */
    bool minimal, plain;
};

/* ---- the JSON of an operation ---- */

static void write_image_size(struct buffer *b, const struct operation_row *o) {
    if (o->image_size >= 0)
        json_add_int(b, "image_size", o->image_size);
    else
        json_add_raw(b, "image_size", NULL, 0);
}

static void write_duration(struct buffer *b, const struct operation_row *o) {
    int64_t end = o->finished ? o->finished : wall_microseconds();
    json_add_number(b, "duration", (double)(end - o->created) / 1e6);
}

void operation_write_summary(struct buffer *b, const struct operation_row *o) {
    json_add_string(b, "uuid", o->uuid);
    json_add_string(b, "kind", o->kind);
    json_add_string(b, "status", o->status);
    json_add_string(b, "error", o->error);
    json_add_time(b, "created_at", o->created);
    write_duration(b, o);
    write_image_size(b, o);
    json_add_number(b, "consumed_cpu", o->consumed_cpu);
    json_add_int(b, "consumed_memory", o->consumed_memory);
    json_add_optional(b, "image_uuid", o->image);
    json_add_optional(b, "result_image_uuid", o->result_image);
    if (o->paused)
        json_add_bool(b, "paused", true);
}

/* Add the stored request, with the result as one more member. */
static void write_metadata(struct buffer *b, struct form form,
                           const struct operation_row *o,
                           const struct result *result) {
    size_t length = o->metadata ? strlen(o->metadata) : 0;
    json_open(b, "metadata", '{');
    if (length > 2) {
        buffer_add(b, o->metadata + 1, length - 2);
        buffer_add(b, ",", 1);
    }
    if (result)
        result_write(b, "result", result, !operation_is_active(o->status),
                     form.plain);
    else if (strcmp(o->kind, "instance") == 0)
        json_add_raw(b, "result", NULL, 0);
    json_close(b, '}');
}

/* What a client cannot know of a run that it has just asked for (RFC 7240). */
static void write_minimal(struct buffer *b, const struct operation_row *o,
                          const struct result *result) {
    json_open(b, NULL, '{');
    json_add_string(b, "uuid", o->uuid);
    json_add_string(b, "status", o->status);
    json_add_string(b, "error", o->error);
    write_duration(b, o);
    json_add_optional(b, "image_uuid", o->image);
    json_add_optional(b, "result_image_uuid", o->result_image);
    json_open(b, "metadata", '{');
    result_write(b, "result", result, true, false);
    json_close(b, '}');
    json_close(b, '}');
}

static void write_operation(struct buffer *b, struct form form,
                            const struct operation_row *o,
                            const struct result *result) {
    bool success = strcmp(o->status, "SUCCESS") == 0;
    json_open(b, NULL, '{');
    operation_write_summary(b, o);
    write_metadata(b, form, o, result);
    json_open(b, "result", '{');
    json_add_optional(b, "image", o->result_image);
    json_add_string(b, "tag", success ? o->tag : NULL);
    json_close(b, '}');
    json_close(b, '}');
}

/* ---- replying with it ---- */

static void write_form(struct buffer *b, struct form form,
                       const struct operation_row *row,
                       const struct result *result) {
    if (form.spid)
        result_write(b, NULL, result, false, form.plain);
    else if (form.minimal)
        write_minimal(b, row, result);
    else
        write_operation(b, form, row, result);
}

/* A reply in the making. A worker makes it if the log is in a file or there is
 * much to write. */
struct rendering {
    struct job job;
    struct request *request;
    struct form form;
    struct operation_row row;    /* its strings are owned */
    struct event_reader *reader; /* NULL: without a result */
    struct result result;
    struct buffer text;
    struct fault fault; /* status 0: none */
};

static void report_work(struct job *j) {
    struct rendering *p = (struct rendering *)j;
    int spid = p->form.spid;
    if (p->reader &&
        result_fold(p->reader, spid ? spid : 1, &p->result, &p->fault) < 0)
        return;
    if (spid && !p->result.started)
        fault_set(&p->fault, 404, "the operation has no process %d", spid);
    else
        write_form(&p->text, p->form, &p->row, p->reader ? &p->result : NULL);
}

static void report_done(struct job *j) {
    struct rendering *p = (struct rendering *)j;
    if (p->fault.status)
        reply_fault(p->request, &p->fault);
    else
        reply_json(p->request, p->form.status, &p->text);
    buffer_free(&p->text);
    result_clear(&p->result);
    event_reader_free(p->reader);
    operation_row_clear(&p->row);
    free(p);
}

static bool is_long(const struct operation_row *row) {
    return row->metadata && strlen(row->metadata) > WRITE_HERE;
}

/* Reply with a row, whose strings it takes over. `log` NULL: without a result.
 */
static void report(struct request *r, struct form form,
                   struct operation_row *row, struct event_log *log) {
    form.plain = api_is_plain(r);
    struct rendering *p = calloc(1, sizeof *p);
    if (p && log)
        p->reader = event_reader_new(log, -1, true);
    if (!p || (log && !p->reader)) {
        free(p);
        operation_row_clear(row);
        reply_memory(r);
        return;
    }
    p->request = r;
    p->form = form;
    p->row = *row;
    buffer_init(&p->text, REPLY_MAX);
    if ((log && event_log_in_file(log)) || is_long(row)) {
        job_start(&request_engine(r)->workers, &p->job, report_work,
                  report_done);
        return;
    }
    report_work(&p->job);
    report_done(&p->job);
}

static void copy_row(struct operation_row *out, const struct operation *op) {
    operation_fill_row(op, out);
    out->error = out->error ? strdup(out->error) : NULL;
    out->metadata = out->metadata ? strdup(out->metadata) : NULL;
    out->tag = out->tag ? strdup(out->tag) : NULL;
}

static void reply_now(struct request *r, struct form form, struct operation *op,
                      bool with_result) {
    form.plain = api_is_plain(r);
    struct operation_row row;
    const struct result *kept = operation_result(op);
    operation_fill_row(op, &row);
    if ((kept || !with_result) && (form.minimal || !is_long(&row))) {
        struct buffer b;
        buffer_init(&b, REPLY_MAX);
        write_form(&b, form, &row, with_result ? kept : NULL);
        reply_json(r, form.status, &b);
        return;
    }
    copy_row(&row, op);
    report(r, form, &row, with_result ? operation_log(op) : NULL);
}

void operation_reply(struct request *r, struct operation *op,
                     bool with_result) {
    reply_now(r, (struct form){.status = 200}, op, with_result);
}

void operation_reply_ended(struct request *r, struct operation *op,
                           bool minimal) {
    reply_now(r, (struct form){.status = 201, .minimal = minimal}, op, true);
}

void process_reply(struct request *r, struct operation *op, int spid) {
    struct operation_row row;
    copy_row(&row, op);
    report(r, (struct form){.status = 200, .spid = spid}, &row,
           operation_log(op));
}

static void reply_stored(struct request *r, struct form form,
                         const char *uuid) {
    struct operation_row row;
    struct fault f;
    if (operation_stored(r, uuid, &row, &f) < 0) {
        reply_fault(r, &f);
        return;
    }
    struct event_log *log = operation_stored_log(r, &row, &f);
    if (!log) {
        operation_row_clear(&row);
        reply_fault(r, &f);
        return;
    }
    bool result = form.spid || strcmp(row.kind, "instance") == 0;
    report(r, form, &row, result ? log : NULL);
    event_log_unref(log);
}

void operation_reply_stored(struct request *r, const char *uuid) {
    reply_stored(r, (struct form){.status = 200}, uuid);
}

void operation_reply_stored_ended(struct request *r, const char *uuid,
                                  bool minimal) {
    reply_stored(r, (struct form){.status = 201, .minimal = minimal}, uuid);
}

void process_reply_stored(struct request *r, const char *uuid, int spid) {
    reply_stored(r, (struct form){.status = 200, .spid = spid}, uuid);
}
