/* echo.c: see echo.h. */
#include "operation/echo.h"
#include "base/buffer.h"
#include "base/json.h"
#include "operation/mounts.h"
#include <stdio.h>
#include <string.h>

static void write_files(struct buffer *b, const struct run *r) {
    json_open(b, "files", '{');
    for (size_t i = 0; i < r->file_count; i++) {
        const struct run_file *file = &r->files[i];
        char mode[8];
        snprintf(mode, sizeof mode, "%04o", file->mode);
        json_open(b, file->given, '{');
        json_add_string(b, "uuid", file->uuid);
        json_add_int(b, "uid", file->uid);
        json_add_int(b, "gid", file->gid);
        json_add_string(b, "mode", mode);
        json_close(b, '}');
    }
    json_close(b, '}');
}

static void write_member(struct buffer *b, const char *key, const json_t *value,
                         const char *fallback) {
    if (value)
        json_add_value(b, key, value);
    else
        json_add_raw(b, key, fallback, strlen(fallback));
}

/* The member that was sent, with its defaults. Clients expect an object even if
 * none was sent. */
static void write_stdin(struct buffer *b, const struct run_process *p) {
    const json_t *given = json_object_get(p->json, "stdin");
    const char *value = json_string_value(json_object_get(given, "value"));
    const char *encoding =
        json_string_value(json_object_get(given, "encoding"));
    json_open(b, "stdin", '{');
    json_add_string(b, "value", value ? value : "");
    json_add_string(b, "encoding", encoding ? encoding : "ascii");
    json_add_bool(b, "close", !p->stdin_open);
    json_close(b, '}');
}

/* Extensions (http-api.md §5.5), so only those that are set. */
static void write_limits(struct buffer *b, const struct limits *l) {
    for (int k = 0; k < CGROUP_KINDS; k++) {
        const struct limit *limit = &limit_table[k];
        if (l->of[k] > 0 && limit->whole)
            json_add_int(b, limit->field, (int64_t)l->of[k]);
        else if (l->of[k] > 0)
            json_add_number(b, limit->field, l->of[k]);
    }
}

static void write_user(struct buffer *b, const struct run_process *p) {
    const json_t *user = json_object_get(p->json, "user");
    json_add_int(b, "uid", p->uid);
    json_add_int(b, "gid", p->gid);
    if (json_is_string(user) || json_is_true(user))
        json_add_value(b, "user", user);
}

/* An extension, by which clients see that this server knows it. */
static void write_terminal(struct buffer *b, const struct run_terminal *t) {
    if (!t->rows)
        return;
    json_open(b, "tty", '{');
    json_add_int(b, "rows", t->rows);
    json_add_int(b, "cols", t->columns);
    json_add_string(b, "term", t->term);
    json_close(b, '}');
}

/* The same. */
static void write_box(struct buffer *b, const struct run *r) {
    if (!r->process.held)
        return;
    json_open(b, "box", '{');
    json_add_number(b, "idle_timeout", r->idle_timeout);
    json_close(b, '}');
}

static void write_run(struct buffer *b, const struct run *r) {
    const struct run_process *p = &r->process;
    const char *cwd = json_string_value(json_object_get(p->json, "cwd"));
    json_add_string(b, "command", p->command);
    json_add_string(b, "image", r->image);
    json_add_bool(b, "disposable", r->disposable);
    json_add_string(b, "hostname", r->hostname);
    write_member(b, "args", p->args, "[]");
    json_add_bool(b, "shell", p->shell);
    write_member(b, "env", p->env, "{}");
    json_add_bool(b, "preserve_env", r->preserve_env);
    if (r->image_etc)
        json_add_bool(b, "image_etc", true);
    json_add_string(b, "cwd", cwd ? cwd : "");
    write_user(b, p);
    json_open(b, "resources_limits", '{');
    json_add_int(b, "max_layer_bytes", r->max_layer_bytes);
    write_limits(b, &r->limits);
    if (r->shm_bytes > 0)
        json_add_int(b, "shm_bytes", r->shm_bytes);
    json_close(b, '}');
    json_open(b, "networking", '{');
    json_add_bool(b, "enabled", r->networking);
    network_rules_write(&r->rules, b, json_object_get(p->json, "networking"));
    json_close(b, '}');
    network_rules_write_secrets(&r->rules, b,
                                json_object_get(p->json, "secrets"));
    if (r->tracing == TRACE_FILES)
        json_add_string(b, "trace", "files");
    else if (r->tracing == TRACE_PROGRAMS)
        json_add_bool(b, "trace", true);
    write_stdin(b, p);
    write_terminal(b, &p->terminal);
    write_box(b, r);
    if (p->timeout)
        json_add_int(b, "timeout", p->timeout);
    if (r->queue_timeout >= 0)
        json_add_number(b, "queue_timeout", r->queue_timeout);
    json_add_int(b, "truncate_output_at", p->truncate);
    write_files(b, r);
    run_mounts_echo(b, p->json);
}

char *run_echo(const struct run *r) {
    struct buffer b;
    buffer_init(&b, 128 << 20);
    json_open(&b, NULL, '{');
    write_run(&b, r);
    json_close(&b, '}');
    json_end(&b);
    return buffer_take(&b);
}
