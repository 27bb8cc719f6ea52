/* parse.c: see parse.h. getopt_long() reads the words; only this file uses it,
 * so its global state is safe. */
#define _GNU_SOURCE
#include "command/parse.h"
#include "base/nearest.h"
#include "command/settings.h"
#include "core/place.h"
#include "sandbox/sandbox.h"
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    /* getopt_long() returns 1 for an operand if its letters begin with "-". */
    OPERAND = 1,
    /* And this plus the setting for a long option. */
    LONG_OPTION = 256,
    HELP = 'h',
    VERSION = LONG_OPTION + SETTINGS
};

/* ---- commands ---- */

static int refuse_command(const struct command *commands, const char *name,
                          struct fault *f) {
    struct nearest n = nearest_to(name);
    for (const struct command *c = commands; c->name; c++)
        if (!c->deletes)
            nearest_try(&n, c->name);
    return fault_set(f, 400,
                     "no command \"%.40s\"%s%s%s (contree-engine help lists "
                     "all)",
                     name, n.name ? "; did you mean \"" : "",
                     n.name ? n.name : "", n.name ? "\"?" : "");
}

const struct command *command_find(const struct command *commands,
                                   const char *name, struct fault *f) {
    for (const struct command *c = commands; c->name; c++)
        if (strcmp(c->name, name) == 0)
            return c;
    refuse_command(commands, name, f);
    return NULL;
}

static bool takes(const struct command *c, enum setting s) {
    size_t i = 0;
    while (c->options[i] && c->options[i] != s)
        i++;
    return c->options[i] == s && s != NO_SETTING;
}

/* ---- the arguments of getopt_long() ---- */

struct grammar {
    const struct command *command; /* NULL: it is not known yet */
    char letters[8];
    struct option options[SETTINGS + 2];
};

static void add_option(struct option *o, const char *name, bool value,
                       int result) {
    *o = (struct option){name, value ? required_argument : no_argument, NULL,
                         result};
}

/* With a command: take its options, and operands among them. Without: take the
 * options of all commands, and stop at the first other word. */
static void grammar_make(struct grammar *g, const struct command *c) {
    struct option *next = g->options;
    *g = (struct grammar){.command = c};
    char *letter = stpcpy(g->letters, c ? "-:h" : "+:h");
    for (int s = 1; s < SETTINGS; s++) {
        if (c && !takes(c, s))
            continue;
        add_option(next++, settings[s].name, settings[s].value != NULL,
                   LONG_OPTION + s);
        if (settings[s].letter) {
            *letter++ = settings[s].letter;
            *letter++ = ':';
        }
    }
    add_option(next++, "help", false, HELP);
    if (!c)
        add_option(next++, "version", false, VERSION);
    optind = 0; /* start with a new argv */
    opterr = 0;
}

/* The setting that a result of getopt_long() stands for. */
static enum setting setting_of(int result) {
    if (result >= LONG_OPTION && result < LONG_OPTION + SETTINGS)
        return (enum setting)(result - LONG_OPTION);
    for (int s = 1; s < SETTINGS; s++)
        if (settings[s].letter && settings[s].letter == result)
            return (enum setting)s;
    return NO_SETTING;
}

/* ---- options ---- */

static int refuse_option(const struct grammar *g, const char *name,
                         struct fault *f) {
    struct nearest n = nearest_to(name);
    for (const struct option *o = g->options; o->name; o++)
        nearest_try(&n, o->name);
    if (n.name)
        return fault_set(f, 400, "no option --%.40s; did you mean --%s?", name,
                         n.name);
    return fault_set(
        f, 400, "no option --%.40s: contree-engine %s%shelp lists all", name,
        g->command ? g->command->name : "", g->command ? " --" : "");
}

/* Refuse the option that was read last: it is unknown, or has a value and takes
 * none. */
static int refuse_last(const struct grammar *g, char *const argv[],
                       struct fault *f) {
    char name[48];
    enum setting s = setting_of(optopt);
    if (s && (!g->command || takes(g->command, s)))
        return fault_set(f, 400, "--%s takes no value", settings[s].name);
    if (optopt == HELP || optopt == VERSION)
        return fault_set(f, 400, "--%s takes no value",
                         optopt == HELP ? "help" : "version");
    if (optopt)
        return fault_set(
            f, 400, "no option -%c: contree-engine %s%shelp lists all", optopt,
            g->command ? g->command->name : "", g->command ? " --" : "");
    const char *text = argv[optind - 1] + 2;
    snprintf(name, sizeof name, "%.*s", (int)strcspn(text, "="), text);
    return refuse_option(g, name, f);
}

static int want_value(enum setting s, struct fault *f) {
    return fault_set(f, 400, "--%s wants a value: %s", settings[s].name,
                     settings[s].value);
}

static int take_option(struct options *o, enum setting s, const char *value,
                       struct fault *f) {
    if (settings[s].value && !*value)
        return want_value(s, f);
    return settings[s].set(&(struct given){o, settings[s].name, value, f});
}

static int take_operand(struct options *o, const char *text, struct fault *f) {
    if (!o->command->operand || o->operand)
        return fault_set(f, 400,
                         "what is \"%.40s\" for? contree-engine %s --help says "
                         "what it takes",
                         text, o->command->name);
    o->operand = text;
    return 0;
}

/* Read the words after argv[0]. */
static int read_words(int argc, char *const argv[], struct options *o,
                      struct fault *f) {
    struct grammar g;
    int got, result = 0;
    grammar_make(&g, o->command);
    while (result == 0 &&
           (got = getopt_long(argc, argv, g.letters, g.options, NULL)) != -1) {
        if (got == HELP)
            o->help = true;
        else if (got == OPERAND)
            result = take_operand(o, optarg, f);
        else if (got == ':')
            result = want_value(setting_of(optopt), f);
        else if (got == '?')
            result = refuse_last(&g, argv, f);
        else
            result = take_option(o, setting_of(got), optarg, f);
    }
    for (int i = optind; i < argc && result == 0; i++) /* after "--" */
        result = take_operand(o, argv[i], f);
    return result;
}

/* Find the command, behind the options before it and their values. Its index in
 * argv, or -1. */
static int find_command(const struct command *commands, int argc,
                        char *const argv[], struct options *o,
                        struct fault *f) {
    struct grammar g;
    const char *name = NULL;
    grammar_make(&g, NULL);
    int got;
    do
        got = getopt_long(argc, argv, g.letters, g.options, NULL);
    while (got != -1 && setting_of(got));
    if (got == ':')
        return want_value(setting_of(optopt), f);
    if (got == '?')
        return refuse_last(&g, argv, f);
    if (got == HELP || got == VERSION)
        name = got == HELP ? "help" : "version";
    else if (optind < argc)
        name = argv[optind++];
    if (!name)
        return fault_set(f, 400,
                         "the command is missing (contree-engine help lists "
                         "all)");
    o->command = command_find(commands, name, f);
    return o->command ? optind - 1 : -1;
}

/* ---- defaults ---- */

static const char *variable(const char *name) {
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

/* Set the places that were not given, by the rules of the Lua module. */
static int find_place(struct options *o, struct fault *f) {
    const struct place_input in = {
        .data_dir = o->data_dir,
        .own = variable("CONTREE_DATA_DIR"),
        .xdg_data_home = variable("XDG_DATA_HOME"),
        .home = variable("HOME"),
        .xdg_runtime_dir = variable("XDG_RUNTIME_DIR"),
    };
    struct place place;
    const char *problem = place_find(&in, &place);
    if (problem)
        return fault_set(f, 400, "%s", problem);
    snprintf(o->data_dir, sizeof o->data_dir, "%s", place.data_dir);
    if (!o->socket_given)
        snprintf(o->socket_path, sizeof o->socket_path, "%s", place.socket);
    return 0;
}

static int read_environment(struct options *o, struct fault *f) {
    const char *runtime = variable("CONTREE_RUNTIME");
    if (takes(o->command, SET_DATA_DIR) && find_place(o, f) < 0)
        return -1;
    if (!runtime || o->runtime_given || !takes(o->command, SET_RUNTIME))
        return 0;
    return take_option(o, SET_RUNTIME, runtime, f);
}

static void set_defaults(struct options *o) {
    *o = (struct options){
        .config = {.idle_seconds = 300,
                   .ready_fd = -1,
                   .nice = SANDBOX_NICE,
                   .max_runs = RUNS_MAX,
                   .max_queued = 1024},
        .gc = {.untagged = GC_AGE, .operations = GC_AGE, .files = GC_AGE}};
}

static int check(const struct options *o, struct fault *f) {
    const struct command *c = o->command;
    if (o->help)
        return 0;
    if (c->operand && *c->operand != '[' && !o->operand)
        return fault_set(f, 400, "%s wants %s", c->name, c->wanted);
    return c->check ? c->check(o, f) : 0;
}

int options_parse(const struct command *commands, int argc, char *const argv[],
                  struct options *out, struct fault *f) {
    set_defaults(out);
    if (argc < 2) {
        out->command = command_find(commands, "help", f);
        return 0;
    }
    int at = find_command(commands, argc, argv, out, f);
    if (at < 0 || read_words(at, argv, out, f) < 0 ||
        read_words(argc - at, argv + at, out, f) < 0 || check(out, f) < 0 ||
        read_environment(out, f) < 0)
        return -1;
    out->config.data_dir = out->data_dir;
    out->config.socket_path = out->socket_path;
    out->config.allowed_mounts = out->allowed_mounts;
    return 0;
}
