/* command_line.c: see command_line.h. */
#define _GNU_SOURCE
#include "operation/command_line.h"
#include "base/scope.h"
#include "operation/network_rules.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Turns `count` strings, one after the other, into a vector in one block. */
static char **make_vector(struct buffer *strings, size_t count,
                          struct fault *f) {
    size_t table = (count + 1) * sizeof(char *);
    char **vector = strings->failed ? NULL : malloc(table + strings->length);
    if (!vector) {
        buffer_free(strings);
        fault_memory(f);
        return NULL;
    }
    char *text = (char *)vector + table;
    if (strings->length)
        memcpy(text, strings->data, strings->length);
    for (size_t i = 0; i < count; i++) {
        vector[i] = text;
        text += strlen(text) + 1;
    }
    vector[count] = NULL;
    buffer_free(strings);
    return vector;
}

static void add_item(struct buffer *strings, size_t *count, const char *text) {
    buffer_add(strings, text, strlen(text) + 1);
    ++*count;
}

/* Quotes for sh, where nothing is special within single quotes. */
static void add_quoted(struct buffer *b, const char *text) {
    buffer_add(b, " '", 2);
    for (; *text; text++)
        if (*text == '\'')
            buffer_add(b, "'\\''", 4);
        else
            buffer_add(b, text, 1);
    buffer_add(b, "'", 1);
}

/* A shell command gets its arguments appended as words (http-api.md §8.1). */
static void add_shell(struct buffer *strings, size_t *count,
                      const struct run_process *p) {
    size_t i;
    json_t *item;
    add_item(strings, count, "/bin/sh");
    add_item(strings, count, "-c");
    buffer_add(strings, p->command, strlen(p->command));
    json_array_foreach(p->args, i, item)
        add_quoted(strings, json_string_value(item));
    buffer_add(strings, "", 1);
    ++*count;
}

char **run_argv(const struct run_process *p, struct fault *f) {
    struct buffer strings;
    size_t count = 0, i;
    json_t *item;
    buffer_init(&strings, 8 * RUN_STRINGS_MAX);
    if (p->shell) {
        add_shell(&strings, &count, p);
    } else {
        add_item(&strings, &count, p->command);
        json_array_foreach(p->args, i, item)
            add_item(&strings, &count, json_string_value(item));
    }
    return make_vector(&strings, count, f);
}

static void add_variable(struct buffer *strings, size_t *count,
                         const char *name, const char *value) {
    buffer_add(strings, name, strlen(name));
    buffer_add(strings, "=", 1);
    add_item(strings, count, value);
}

/* Whether the request names the variable, even with null. */
static bool requested(const struct run_process *p, const char *name) {
    return json_object_get(p->env, name) != NULL;
}

static void add_defaults(struct buffer *strings, size_t *count,
                         const struct run_process *p, const json_t *image_env) {
    static const char path[] =
        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    if (!requested(p, "PATH") && !json_object_get(image_env, "PATH"))
        add_variable(strings, count, "PATH", path);
    if (p->terminal.rows && !requested(p, "TERM"))
        add_variable(strings, count, "TERM", p->terminal.term);
}

/* Whether a variable of the image is left out. */
static bool is_hidden(const struct run_process *p, const char *name) {
    return requested(p, name) ||
           (p->terminal.rows && strcmp(name, "TERM") == 0);
}

unsigned run_defaults(const struct run_process *p, const json_t *image_env) {
    bool home = requested(p, "HOME") || json_object_get(image_env, "HOME");
    bool user = requested(p, "USER") || json_object_get(image_env, "USER");
    return (home ? 0 : DEFAULT_HOME) | (user ? 0 : DEFAULT_USER);
}

/* What the request has in a variable, or else the image; NULL: nothing. */
static const char *own_value(const struct run_process *p,
                             const json_t *image_env, const char *name) {
    const json_t *from = requested(p, name) ? p->env : image_env;
    return json_string_value(json_object_get(from, name));
}

static void add_joined(struct buffer *strings, size_t *count, const char *name,
                       const char *ours, const char *theirs) {
    buffer_addf(strings, "%s=%s %s", name, ours, theirs);
    add_item(strings, count, "");
}

/* The variables of the run, unless the request says otherwise. */
static void add_common(struct buffer *strings, size_t *count,
                       const struct run_process *p, const json_t *image_env,
                       const json_t *common) {
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)common, name, value) {
        const char *ours = json_string_value(value);
        const char *theirs =
            network_rules_join(name) ? own_value(p, image_env, name) : NULL;
        if (theirs)
            add_joined(strings, count, name, ours, theirs);
        else if (!requested(p, name))
            add_variable(strings, count, name, ours);
    }
}

/* Whether add_common() has added it already. */
static bool is_joined(const json_t *common, const char *name) {
    return network_rules_join(name) && json_object_get(common, name);
}

char **run_environment(const struct run_process *p, const json_t *image_env,
                       const json_t *common, struct fault *f) {
    struct buffer strings;
    size_t count = 0;
    const char *name;
    json_t *value;
    buffer_init(&strings, 2 * RUN_STRINGS_MAX);
    add_defaults(&strings, &count, p, image_env);
    json_object_foreach((json_t *)image_env, name, value) {
        if (json_is_string(value) && !is_hidden(p, name) &&
            !json_object_get(common, name))
            add_variable(&strings, &count, name, json_string_value(value));
    }
    add_common(&strings, &count, p, image_env, common);
    json_object_foreach((json_t *)p->env, name, value) {
        if (json_is_string(value) && !is_joined(common, name))
            add_variable(&strings, &count, name, json_string_value(value));
    }
    return make_vector(&strings, count, f);
}

char *run_preserved_env(const struct run_process *p, const json_t *image_env) {
    const char *name;
    json_t *value;
    json_t *all = image_env ? json_copy((json_t *)image_env) : json_object();
    json_object_foreach((json_t *)p->env, name, value) {
        if (json_is_null(value))
            json_object_del(all, name);
        else
            json_object_set(all, name, value);
    }
    char *text = json_object_size(all)
                     ? json_dumps(all, JSON_COMPACT | JSON_SORT_KEYS)
                     : NULL;
    json_decref(all);
    return text;
}

/* Names whose values the event log must not show (http-api.md §5.18). */
static bool is_secret(const char *name, size_t length) {
    static const char *const endings[] = {
        "token",       "secret",        "password", "api_key",
        "credentials", "authorization", "apikey",   "private_key"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t n = strlen(endings[i]);
        if (length >= n && strncasecmp(name + length - n, endings[i], n) == 0)
            return true;
    }
    return false;
}

static void write_environment(struct buffer *b, char *const *env,
                              const struct sandbox_account *a) {
    json_open(b, "env", '{');
    for (; *env; env++) {
        size_t length = strcspn(*env, "=");
        char *name CLEANUP(cleanup_free) = strndup(*env, length);
        if (name)
            json_add_string(b, name,
                            is_secret(*env, length) ? "<REDACTED>"
                                                    : *env + length + 1);
    }
    if (a->home)
        json_add_string(b, "HOME", a->home);
    if (a->user)
        json_add_string(b, "USER", a->user);
    json_close(b, '}');
}

void spawn_event_write(struct buffer *b, const struct run_process *p,
                       char *const *argv, char *const *env, int pid,
                       const struct sandbox_account *a) {
    json_add_int(b, "pid", pid);
    json_add_string(b, "command", argv[0]);
    json_open(b, "args", '[');
    for (char *const *arg = argv + 1; *arg; arg++)
        json_add_string(b, NULL, *arg);
    json_close(b, ']');
    json_add_bool(b, "shell", p->shell);
    json_add_string(b, "cwd", *p->cwd ? p->cwd : "/");
    json_add_int(b, "uid", a->uid);
    json_add_int(b, "gid", a->gid);
    json_add_int(b, "timeout", p->timeout);
    json_add_int(b, "truncate_at", p->truncate);
    if (p->terminal.rows)
        json_add_bool(b, "tty", true);
    write_environment(b, env, a);
}
