/* parse.c: see parse.h. */
#define _GNU_SOURCE
#include "operation/parse.h"
#include "base/scope.h"
#include "base/url.h"
#include "operation/echo.h"
#include "operation/mounts.h"
#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    STRING_MAX = 131072 - 1, /* the kernel's MAX_ARG_STRLEN */
    SHM_BYTES_MIN = 4096,    /* a page; for the kernel 0 means no limit */
    PATH_BYTES_MAX = 4095,
    XATTR_BYTES_MAX = 65536
};

/* ---- reading ---- */

static bool read_id(struct fields *r, const char *name, struct id_range ids,
                    uint32_t *out) {
    int64_t id;
    const json_t *value = json_object_get(r->object, name);
    if (json_is_integer(value) && json_integer_value(value) >= ids.count &&
        !r->fault.status) {
        if (ids.count == 1)
            field_refuse(r, name,
                         "must be 0: this engine has one id to give; " IDS_FIX);
        else
            field_refuse(
                r, name,
                "must be from 0 to %u, the ids this engine has; " IDS_FIX,
                ids.count - 1);
        return false;
    }
    if (!field_int(r, name, 0, (int64_t)ids.count - 1, &id))
        return false;
    *out = (uint32_t)id;
    return true;
}

static void read_cwd(struct fields *r, struct run_process *p) {
    struct fault why;
    if (!field_string(r, "cwd", &p->cwd) || !*p->cwd)
        return;
    if (strlen(p->cwd) > PATH_BYTES_MAX)
        field_refuse(r, "cwd", "is longer than %d bytes", PATH_BYTES_MAX);
    else if ((p->directory = path_rooted(p->cwd, &why)))
        p->cwd = p->directory;
    else
        field_refuse(r, "cwd", "is not a valid path: %.200s", why.message);
}

/* Check one string of the command line or the environment. */
static void check_string(struct fields *r, const char *name, size_t length,
                         size_t *total) {
    /* The kernel counts the pointer to each string, too. */
    *total += length + 1 + sizeof(char *);
    if (length > STRING_MAX)
        field_refuse(r, name,
                     "has a string longer than %d bytes, the most that Linux "
                     "takes; send it on stdin or as a file",
                     STRING_MAX);
    else if (*total > RUN_STRINGS_MAX)
        field_refuse(r, name,
                     "makes the command line and environment larger than %d "
                     "bytes; send them on stdin or as a file",
                     RUN_STRINGS_MAX);
}

static void check_environment(struct fields *r, const json_t *env,
                              size_t *total) {
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)env, name, value) {
        if (!*name || strchr(name, '='))
            field_refuse(r, "env", "has a name that is empty or contains '='");
        else if (!json_is_string(value) && !json_is_null(value))
            field_refuse(r, "env",
                         "must map names to strings; %.80s has another type",
                         name);
        else
            check_string(r, "env", strlen(name) + 1 + json_string_length(value),
                         total);
        if (r->fault.status)
            return;
    }
}

static void check_command_line(struct fields *r, struct run_process *p) {
    size_t i, total = strlen(p->command);
    json_t *item;
    if (!*p->command && !p->held)
        field_refuse(r, "command", "must not be empty");
    else
        check_string(r, "command", strlen(p->command), &total);
    json_array_foreach(p->args, i, item) {
        if (r->fault.status)
            return;
        check_string(r, "args", json_string_length(item), &total);
    }
    if (p->env && !r->fault.status)
        check_environment(r, p->env, &total);
}

static void read_stdin(struct fields *r, struct run_process *p) {
    const json_t *object;
    struct fields s;
    const char *value = NULL, *encoding = "ascii";
    bool close = true;
    if (!field_object(r, "stdin", &object))
        return;
    fields_init(&s, object, "stdin.");
    field_string(&s, "encoding", &encoding);
    field_bool(&s, "close", &close);
    if (!field_string(&s, "value", &value) && !s.fault.status)
        field_refuse(&s, "value", "is missing");
    if (!s.fault.status &&
        !stream_decode(value, encoding, &p->stdin_data, &p->stdin_length))
        field_refuse(&s, "value",
                     "does not match its encoding (%.20s): ascii, or base64 "
                     "with padding",
                     encoding);
    p->stdin_open = !close;
    r->fault = s.fault;
}

static void read_term(struct fields *r, struct run_terminal *t) {
    if (field_string(r, "term", &t->term) &&
        (!*t->term || strlen(t->term) > TERMINAL_NAME_MAX ||
         t->term[strspn(t->term, "abcdefghijklmnopqrstuvwxyz0123456789-._+"
                                 "ABCDEFGHIJKLMNOPQRSTUVWXYZ")]))
        field_refuse(r, "term",
                     "must be the name of a kind of terminal, such as "
                     "\"xterm-256color\"");
}

/* An extension (http-api.md §8.15): true, or an object. */
static void read_terminal(struct fields *r, struct run_process *p) {
    const json_t *value = json_object_get(r->object, "tty");
    struct run_terminal *t = &p->terminal;
    struct fields in;
    if (!value || json_is_null(value) || json_is_false(value) ||
        r->fault.status)
        return;
    if (!json_is_true(value) && !json_is_object(value)) {
        field_refuse(r, "tty",
                     "must be a boolean, or an object with rows, "
                     "cols and term");
        return;
    }
    *t = (struct run_terminal){24, 80, "xterm-256color"};
    fields_init(&in, json_is_object(value) ? value : NULL, "tty.");
    terminal_size_read(&in, &t->rows, &t->columns);
    read_term(&in, t);
    r->fault = in.fault;
    /* A terminal stays open: Ctrl-D is what ends its input. */
    if (!json_is_object(json_object_get(r->object, "stdin")))
        p->stdin_open = true;
}

void terminal_size_read(struct fields *r, int64_t *rows, int64_t *columns) {
    field_int(r, "rows", 1, TERMINAL_SIDE_MAX, rows);
    field_int(r, "cols", 1, TERMINAL_SIDE_MAX, columns);
}

/* `user` wins over uid and gid, which clients send for servers without `user`.
 */
static void read_user(struct fields *r, struct run_process *p) {
    const json_t *value = json_object_get(r->object, "user");
    const char *user = json_string_value(value);
    p->image_user = json_is_true(value);
    if (!value || json_is_null(value) || json_is_boolean(value))
        return;
    if (!user || !user_is_valid(user))
        field_refuse(r, "user",
                     "must be a name or number of the image's /etc/passwd, "
                     "perhaps with a group (\"app\", \"app:staff\", "
                     "\"1000:1000\"), or true for the image's own");
    p->user = user;
    p->has_gid = false;
}

static void read_command(struct fields *r, struct run_process *p) {
    static const char *const others[] = {"command", "args", "stdin", "tty"};
    if (!p->held) {
        if (!field_string(r, "command", &p->command) && !r->fault.status)
            field_refuse(r, "command", "is missing");
        return;
    }
    p->command = "";
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        const json_t *value = json_object_get(r->object, others[i]);
        if (value && !json_is_null(value) && !r->fault.status)
            field_refuse(r, others[i],
                         "is for a command, and a box has none of its own");
    }
}

static void read_process(struct fields *r, struct id_range ids,
                         struct run_process *p) {
    p->json = json_incref((json_t *)r->object);
    p->cwd = "";
    p->truncate = RUN_TRUNCATE;
    read_command(r, p);
    field_strings(r, "args", &p->args);
    field_bool(r, "shell", &p->shell);
    field_object(r, "env", &p->env);
    read_cwd(r, p);
    read_id(r, "uid", ids, &p->uid);
    read_id(r, "gid", ids, &p->gid);
    p->has_gid = json_is_integer(json_object_get(r->object, "gid"));
    read_user(r, p);
    read_stdin(r, p);
    read_terminal(r, p);
    field_int(r, "truncate_output_at", 0, INT64_MAX, &p->truncate);
    if (!r->fault.status)
        check_command_line(r, p);
}

/* An extension (http-api.md §8.13): a box has no command of its own. */
static void read_box(struct fields *r, struct run *out) {
    const json_t *object;
    struct fields in;
    if (!field_object(r, "box", &object))
        return;
    fields_init(&in, object, "box.");
    out->process.held = true;
    out->idle_timeout = BOX_IDLE;
    field_number(&in, "idle_timeout", 0.1, BOX_TIMEOUT_MAX, &out->idle_timeout);
    r->fault = in.fault;
}

int run_process_parse(const json_t *body, struct id_range ids,
                      struct run_process *out, struct fault *f) {
    struct fields r;
    *out = (struct run_process){0};
    fields_init(&r, body, "");
    read_process(&r, ids, out);
    field_int(&r, "timeout", 1, BOX_TIMEOUT_MAX, &out->timeout);
    if (!r.fault.status)
        return 0;
    *f = r.fault;
    return -1;
}

/* Read "0755", "755", "0o755", or the number itself. */
static void read_mode(struct fields *r, uint32_t *mode) {
    const json_t *value = json_object_get(r->object, "mode");
    const char *text = json_string_value(value);
    if (text) {
        char *end;
        text += strncasecmp(text, "0o", 2) == 0 ? 2 : 0;
        unsigned long bits = strtoul(text, &end, 8);
        if (isdigit((unsigned char)*text) && *end == 0 && bits <= 07777) {
            *mode = (uint32_t)bits;
            return;
        }
    } else if (json_is_integer(value)) {
        json_int_t bits = json_integer_value(value);
        if (bits >= 0 && bits <= 07777) {
            *mode = (uint32_t)bits;
            return;
        }
    } else if (!value || json_is_null(value)) {
        return;
    }
    if (!r->fault.status)
        field_refuse(r, "mode", "must be an octal mode such as \"0644\"");
}

/* Read where a file goes. The sandbox resolves the path inside the image. */
static void read_destination(struct fields *parent, struct run_file *out) {
    const char *given = out->given;
    size_t length = strlen(given);
    struct fault why;
    if (length > PATH_BYTES_MAX) {
        field_refuse(parent, "files", "has a path longer than %d bytes",
                     PATH_BYTES_MAX);
    } else if (!(out->path = path_normal(given, &why))) {
        field_refuse(parent, "files", "has \"%.100s\": %.200s", given,
                     why.message);
    } else if (!out->path[1] || given[length - 1] == '/') {
        field_refuse(parent, "files",
                     "has \"%.100s\": it must be the path of a file", given);
    }
}

/* The attributes that an import takes, too. Those of overlayfs itself would
 * hide or redirect the layers below. */
static bool is_xattr_name(const char *name) {
    return strlen(name) < 256 && (strcmp(name, "security.capability") == 0 ||
                                  (strncmp(name, "user.", 5) == 0 && name[5] &&
                                   strncmp(name, "user.overlay.", 13) != 0));
}

static bool is_hex(const char *text) {
    size_t digits = strspn(text, "0123456789abcdefABCDEF");
    return !text[digits] && digits % 2 == 0 && digits <= 2 * XATTR_BYTES_MAX;
}

static void read_xattrs(struct fields *r, const json_t **out) {
    const char *name;
    json_t *value;
    if (!field_object(r, "xattrs", out))
        return;
    if (json_object_size(*out) > RUN_XATTRS_MAX) {
        field_refuse(r, "xattrs", "has more than %d entries", RUN_XATTRS_MAX);
        return;
    }
    json_object_foreach((json_t *)*out, name, value) {
        const char *text = json_string_value(value);
        if (!is_xattr_name(name))
            field_refuse(r, "xattrs",
                         "has \"%.100s\": only user.NAME and "
                         "security.capability are taken",
                         name);
        else if (!text || !is_hex(text))
            field_refuse(r, "xattrs",
                         "has a value that is not an even number of "
                         "hexadecimal digits, %d bytes at most",
                         XATTR_BYTES_MAX);
        if (r->fault.status)
            return;
    }
}

static void read_file(struct fields *parent, const char *path,
                      const json_t *spec, struct id_range ids,
                      struct run_file *out) {
    char where[160];
    struct fields r;
    const char *uuid = NULL;
    *out = (struct run_file){.given = path, .mode = 0644};
    snprintf(where, sizeof where, "files[\"%.100s\"].", path);
    fields_init(&r, spec, where);
    read_destination(parent, out);
    if (!json_is_object(spec))
        field_refuse(parent, "files", "must map paths to objects");
    if (parent->fault.status)
        return;
    if (!field_string(&r, "uuid", &uuid) && !r.fault.status)
        field_refuse(&r, "uuid", "is missing");
    else if (uuid && !uuid_parse(uuid, out->uuid))
        field_refuse(&r, "uuid", "is not a uuid");
    read_id(&r, "uid", ids, &out->uid);
    read_id(&r, "gid", ids, &out->gid);
    read_mode(&r, &out->mode);
    read_xattrs(&r, &out->xattrs);
    parent->fault = r.fault;
}

static int compare_paths(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Refuse two spellings of one path: two files in one place. */
static void check_destinations(struct fields *r, const struct run *run) {
    const char **paths CLEANUP(cleanup_free) =
        calloc(run->file_count, sizeof *paths);
    if (!paths) {
        fault_memory(&r->fault);
        return;
    }
    for (size_t i = 0; i < run->file_count; i++)
        paths[i] = run->files[i].path;
    qsort(paths, run->file_count, sizeof *paths, compare_paths);
    for (size_t i = 1; i < run->file_count; i++)
        if (strcmp(paths[i - 1], paths[i]) == 0)
            field_refuse(r, "files", "has \"%.100s\" twice", paths[i]);
}

static void read_files(struct fields *r, struct id_range ids, struct run *out) {
    const json_t *object;
    const char *path;
    json_t *spec;
    if (!field_object(r, "files", &object) || json_object_size(object) == 0)
        return;
    size_t count = json_object_size(object);
    if (count > RUN_FILES_MAX) {
        field_refuse(r, "files", "has more than %d entries", RUN_FILES_MAX);
        return;
    }
    out->files = calloc(count, sizeof *out->files);
    if (!out->files) {
        fault_memory(&r->fault);
        return;
    }
    json_object_foreach((json_t *)object, path, spec) {
        read_file(r, path, spec, ids, &out->files[out->file_count++]);
        if (r->fault.status)
            return;
    }
    check_destinations(r, out);
}

static void read_limit(struct fields *r, const struct limit *limit,
                       double *out) {
    int64_t count;
    if (!limit->whole)
        field_number(r, limit->field, limit->least, limit->most, out);
    else if (field_int(r, limit->field, (int64_t)limit->least,
                       (int64_t)limit->most, &count))
        *out = (double)count;
}

/* A boolean, or "files". */
static enum tracing read_tracing(struct fields *r) {
    const json_t *value = json_object_get(r->object, "trace");
    const char *text = json_string_value(value);
    if (text && strcmp(text, "files") == 0)
        return TRACE_FILES;
    if (value && !json_is_boolean(value) && !json_is_null(value))
        field_refuse(r, "trace", "must be a boolean or \"files\"");
    return json_is_true(value) ? TRACE_PROGRAMS : TRACE_NOTHING;
}

static void read_networking(struct fields *r, struct run *out) {
    const json_t *object = NULL, *secrets = NULL;
    struct fields inner;
    out->tracing = read_tracing(r);
    field_object(r, "secrets", &secrets);
    if (field_object(r, "networking", &object)) {
        fields_init(&inner, object, "networking.");
        /* An object without `enabled` means the default of the hosted service.
         */
        out->networking = true;
        field_bool(&inner, "enabled", &out->networking);
        r->fault = inner.fault;
    }
    if (r->fault.status ||
        network_rules_read(&out->rules, object, secrets,
                           out->tracing != TRACE_NOTHING, &r->fault) < 0)
        return;
    if (out->rules.text && !out->networking)
        field_refuse(r, "networking", "has rules, so `enabled` must be true");
}

static void read_limits(struct fields *r, struct run *out) {
    const json_t *object;
    struct fields inner;
    if (field_object(r, "resources_limits", &object)) {
        fields_init(&inner, object, "resources_limits.");
        field_int(&inner, "max_layer_bytes", 0, INT64_MAX,
                  &out->max_layer_bytes);
        field_int(&inner, "shm_bytes", SHM_BYTES_MIN, INT64_MAX / 2,
                  &out->shm_bytes);
        for (int k = 0; k < CGROUP_KINDS; k++)
            read_limit(&inner, &limit_table[k], &out->limits.of[k]);
        r->fault = inner.fault;
    }
    read_networking(r, out);
    field_int(r, "timeout", 1,
              out->process.held ? BOX_TIMEOUT_MAX : RUN_TIMEOUT_MAX,
              &out->process.timeout);
    field_number(r, "queue_timeout", 0, RUN_QUEUE_MAX, &out->queue_timeout);
}

static void read_names(struct fields *r, struct run *out) {
    if (!field_string(r, "image", &out->image) && !r->fault.status)
        field_refuse(r, "image", "is missing");
    if (field_string(r, "hostname", &out->hostname)) {
        size_t length = strlen(out->hostname);
        if (length == 0 || length > HOST_NAME_MAX ||
            out->hostname[strspn(out->hostname,
                                 "abcdefghijklmnopqrstuvwxyz0123456789-._"
                                 "ABCDEFGHIJKLMNOPQRSTUVWXYZ")])
            field_refuse(r, "hostname",
                         "must be 1 to %d letters, digits, '-', '.' or '_'",
                         HOST_NAME_MAX);
    }
    if (field_string(r, "idempotency_key", &out->idempotency_key) &&
        (!*out->idempotency_key || strlen(out->idempotency_key) > RUN_KEY_MAX))
        field_refuse(r, "idempotency_key", "must have 1 to %d bytes",
                     RUN_KEY_MAX);
}

int run_parse(const json_t *body, struct id_range ids, struct run *out,
              struct fault *f) {
    struct fields r;
    *out = (struct run){
        .hostname = "linuxkit",
        .max_layer_bytes = RUN_LAYER_BYTES,
        .queue_timeout = -1,
        /* The hosted service connects a run by default (http-api.md §5.5). On
         * the user's own machine a run gets loopback only, unless it asks for
         * more. */
        .networking = false,
    };
    fields_init(&r, body, "");
    read_box(&r, out);
    read_process(&r, ids, &out->process);
    out->process.timeout = out->process.held            ? 0
                           : out->process.terminal.rows ? RUN_TIMEOUT_MAX
                                                        : RUN_TIMEOUT;
    read_names(&r, out);
    field_bool(&r, "disposable", &out->disposable);
    field_bool(&r, "preserve_env", &out->preserve_env);
    field_bool(&r, "image_etc", &out->image_etc);
    read_limits(&r, out);
    read_files(&r, ids, out);
    run_mounts_parse(&r, &out->mounts);
    if (!r.fault.status && !(out->text = run_echo(out)))
        fault_memory(&r.fault);
    if (!r.fault.status)
        return 0;
    *f = r.fault;
    return -1;
}
