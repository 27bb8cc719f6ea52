/* options.c: a command line of contree-engine is refused in words, or what it
 * sets is within its bounds and stands in it; what is told to be the nearest
 * name is one. The input is words with a newline between. */
#define _GNU_SOURCE
#include "../input.h"
#include "command/commands.h"
#include "command/parse.h"
#include "command/settings.h"
#include <math.h>

enum { WORDS = 24 };

static bool is_word(const char *text, char *const words[], int count) {
    for (int i = 0; i < count; i++) {
        size_t n = strlen(words[i]), m = strlen(text);
        if (n >= m && strcmp(words[i] + n - m, text) == 0)
            return true; /* maybe behind "--name=" */
    }
    return false;
}

static void check_config(const struct engine_config *c) {
    HOLDS(c->idle_seconds >= 0 && c->idle_seconds <= 1e9);
    HOLDS(c->ready_fd == -1 || (c->ready_fd >= 1 && c->ready_fd <= 65535));
    HOLDS(c->nice >= 0 && c->nice <= 19);
    HOLDS(c->max_runs >= 1 && c->max_runs <= RUNS_MAX);
    HOLDS(c->max_queued <= 100000);
    HOLDS(c->allowed_mount_count <= ALLOWED_MOUNTS_MAX);
    for (size_t i = 0; i < c->allowed_mount_count; i++)
        HOLDS(*c->allowed_mounts[i] == '/');
    for (int k = 0; k < CGROUP_KINDS; k++) {
        double value = c->limits.of[k];
        const struct limit *l = &limit_table[k];
        HOLDS(value == 0 || (value >= l->least && value <= l->most));
        HOLDS(!l->whole || value == trunc(value));
    }
}

static void check_options(const struct options *o, char *const words[],
                          int count) {
    HOLDS(o->command && o->command->name);
    check_config(&o->config);
    HOLDS(o->gc.untagged >= 0 && o->gc.operations >= 0 && o->gc.files >= 0);
    const char *const texts[] = {o->operand, o->tag, o->token_file,
                                 o->output,  o->oci, o->config.listen};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        HOLDS(!texts[i] || is_word(texts[i], words, count));
    HOLDS(strnlen(o->data_dir, sizeof o->data_dir) < sizeof o->data_dir);
    HOLDS(strnlen(o->socket_path, sizeof o->socket_path) <
          sizeof o->socket_path);
}

static void check_refusal(const struct fault *f) {
    HOLDS(f->status == 400 || f->status == 503); /* no such runtime */
    HOLDS(*f->message &&
          strnlen(f->message, sizeof f->message) < sizeof f->message);
    static const char tip[] = "; did you mean --";
    const char *near = NULL, *at = f->message;
    /* The words of the user may have it, too. */
    while (strncmp(f->message, "no option", 9) == 0 && (at = strstr(at, tip)))
        near = at += strlen(tip);
    size_t length = near ? strcspn(near, "?") : 0;
    if (!near || !near[length] || near[length + 1])
        return;
    for (int s = 1; s < SETTINGS; s++)
        if (strncmp(settings[s].name, near, length) == 0 &&
            !settings[s].name[length])
            return;
    HOLDS(strcmp(near, "help?") == 0 || strcmp(near, "version?") == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct options o; /* large */
    struct input in = {data, size};
    struct fault f = {0};
    char *argv[WORDS + 2] = {strdup("contree-engine")};
    int argc = 1;
    HOLDS(argv[0]);
    while (in.left > 0 && argc <= WORDS)
        argv[argc++] = input_text(&in, '\n');
    /* They are put in another order. */
    char *words[WORDS + 2];
    memcpy(words, argv, sizeof words);
    if (options_parse(commands, argc, argv, &o, &f) == 0)
        check_options(&o, words, argc);
    else
        check_refusal(&f);
    for (int i = 0; i < argc; i++)
        free(words[i]);
    return 0;
}
