/* options.c: see options.h. */
#define _GNU_SOURCE
#include "command/options.h"
#include "base/scope.h"
#include "base/url.h"
#include "core/place.h"
#include "sandbox/sandbox.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *name, *arguments, *what;
} commands[] = {
    {"serve", "[OPTIONS]", "run sandboxes for clients, over HTTP"},
    {"import", "SOURCE [--tag NAME] [--data-dir DIR]",
     "make an image of a tar (FILE, -), of a registry's image\n"
     "            (docker://HOST/NAME:TAG), of oci:DIR, oci-archive:FILE,\n"
     "            docker-archive:FILE"},
    {"export", "IMAGE [-o FILE | --oci DIR] [--data-dir DIR]",
     "write an image as a tar, or as an OCI layout"},
    {"gc", "[OPTIONS]", "remove what was not used for long"},
    {"doctor", "[OPTIONS]", "say what this machine lacks, and the fix"},
    {"purge", "--yes [--data-dir DIR]",
     "remove a data directory, with all images"},
    {"version", "", "print the version"},
    {"help", "[COMMAND]", "print this"},
};
enum { COMMANDS = sizeof commands / sizeof *commands };

/* 1 << the index above. */
enum { SERVE = 1, IMPORT = 2, EXPORT = 4, GC = 8, DOCTOR = 16, PURGE = 32 };

static const struct option {
    const char *name, *value, *what;
    unsigned commands;
} known[] = {
    {"data-dir", "DIR",
     "where images are kept\n"
     "($CONTREE_DATA_DIR, else ~/.local/share/contree)",
     SERVE | IMPORT | EXPORT | GC | DOCTOR | PURGE},
    {"socket", "PATH",
     "the Unix socket of the engine (engine.sock, for another\n"
     "data directory engine-HASH.sock, below\n"
     "$XDG_RUNTIME_DIR/contree, else /tmp/contree-UID)",
     SERVE | IMPORT | EXPORT | GC | DOCTOR},
    {"listen", "ADDRESS:PORT",
     "serve TCP too, such as 127.0.0.1:0; needs\n"
     "--token-file",
     SERVE},
    {"token-file", "FILE", "holds the token that TCP clients must send", SERVE},
    {"idle-exit", "SECONDS",
     "leave after so long without work; 0 never\n"
     "(default 300)",
     SERVE},
    {"ready-fd", "N", "gets one byte when clients may come", SERVE},
    {"memory", "BYTES",
     "what a run may use with its swap, unless it asks\n"
     "for another limit: 512M, 2G (default: no limit)",
     SERVE},
    {"cpus", "N", "processors a run may keep busy: 0.5, 2 (default: all)",
     SERVE},
    {"pids", "N",
     "processes a run may have (default 4096 by rlimit;\n"
     "a limit given here or by a run is also reported)",
     SERVE},
    {"runtime", "NAME",
     "what makes the sandboxes: native, or the program of\n"
     "an OCI runtime, such as crun, runc, /opt/bin/crun\n"
     "($CONTREE_RUNTIME, else native)",
     SERVE | DOCTOR},
    {"nice", "N",
     "by how much sandboxes have a lower priority than the\n"
     "engine and the programs that use it: 0 to 19\n"
     "(default 10)",
     SERVE},
    {"max-runs", "N", "runs that have a sandbox at a time (default 64)", SERVE},
    {"max-queued", "N",
     "runs, and imports, that may wait for their turn;\n"
     "others get 429 (default 1024)",
     SERVE},
    {"tag", "NAME", "the tag that the image gets", IMPORT},
    {"output", "FILE", "where the tar goes, instead of standard output",
     EXPORT},
    {"oci", "DIR", "the directory to make, an OCI layout", EXPORT},
    {"dry-run", NULL, "only say what would be removed", GC},
    {"untagged-older-than", "AGE",
     "images without a tag that nobody used for\n"
     "so long, such as 12h, 30d (default 180d)",
     GC},
    {"operations-older-than", "AGE",
     "operations that ended so long ago (default 180d)", GC},
    {"files-older-than", "AGE", "files uploaded so long ago (default 180d)",
     GC},
    {"yes", NULL, "it is meant: nothing brings images back", PURGE},
};
enum { OPTIONS = sizeof known / sizeof *known };

enum { RUNS_MAX = 64, QUEUED_MAX = 100000 };

/* More than so many edits make another word. */
enum { NEAR = 2 };

/* ---- near misses ---- */

static size_t smallest(size_t a, size_t b, size_t c) {
    size_t m = a < b ? a : b;
    return m < c ? m : c;
}

/* Edit distance; names longer than what fits are far from everything. */
static size_t distance(const char *a, const char *b) {
    size_t row[32], n = strlen(b);
    if (n >= 32)
        return 99;
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 1; *a; a++, i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t above = row[j];
            row[j] = smallest(above + 1, row[j - 1] + 1,
                              diagonal + (*a != b[j - 1]));
            diagonal = above;
        }
    }
    return row[n];
}

/* The nearest of the commands, if it is near. One that deletes is never
 * suggested: whoever takes the suggestion may not have meant that. */
static const char *nearest_command(const char *name) {
    const char *nearest = NULL;
    size_t best = smallest(strlen(name) / 3, NEAR, NEAR) + 1;
    for (int i = 0; i < COMMANDS; i++) {
        size_t d = distance(name, commands[i].name);
        if (d > best || (nearest && d == best) || (1u << i & (GC | PURGE)))
            continue;
        best = d;
        nearest = commands[i].name;
    }
    return nearest;
}

static int command_index(const char *name) {
    int i = 0;
    while (i < COMMANDS && strcmp(commands[i].name, name) != 0)
        i++;
    return i;
}

static int refuse_command(const char *name, struct fault *f) {
    const char *nearest = nearest_command(name);
    return fault_set(f, 400,
                     "no command \"%.40s\"%s%s%s (contree-engine help lists "
                     "all)",
                     name, nearest ? "; did you mean \"" : "",
                     nearest ? nearest : "", nearest ? "\"?" : "");
}

static int refuse_option(const char *name, unsigned command, struct fault *f) {
    const struct option *nearest = NULL;
    size_t best = strlen(name) / 3 + 1;
    for (int i = 0; i < OPTIONS; i++) {
        size_t d = distance(name, known[i].name);
        if (!(known[i].commands & command) || d > best ||
            (nearest && d == best))
            continue;
        best = d;
        nearest = &known[i];
    }
    if (!nearest)
        return fault_set(f, 400, "no option --%.40s", name);
    return fault_set(f, 400, "no option --%.40s; did you mean --%s?", name,
                     nearest->name);
}

/* ---- defaults ---- */

static const char *variable(const char *name) {
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

/* Makes `path` absolute; an overlong one becomes one that cannot exist. */
static void set_path(char *out, size_t size, const char *path) {
    char *cwd CLEANUP(cleanup_free) = *path == '/' ? NULL : getcwd(NULL, 0);
    snprintf(out, size, "%s%s%s", cwd ? cwd : "", cwd ? "/" : "", path);
}

/* What was not given, as the module decides it. */
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

/* ---- parsing ---- */

static int set_seconds(const char *value, double *out, struct fault *f) {
    char *end;
    *out = strtod(value, &end);
    if (end == value || *end || !isfinite(*out) || *out < 0 || *out > 1e9)
        return fault_set(f, 400, "--idle-exit wants seconds, not \"%.40s\"",
                         value);
    return 0;
}

static int set_age(const char *name, const char *value, int64_t *out,
                   struct fault *f) {
    static const char units[] = "smhd";
    static const int64_t seconds[] = {1, 60, 3600, 86400};
    char number[16];
    size_t length = strlen(value);
    const char *unit = length ? strchr(units, value[length - 1]) : NULL;
    snprintf(number, sizeof number, "%s", value);
    if (unit && length <= 10)
        number[length - 1] = 0;
    if (!unit || length > 10 || !parse_int(number, out) || *out < 0 ||
        *out > 1000000000 / seconds[unit - units])
        return fault_set(f, 400,
                         "--%s wants an age such as 12h or 30d, not "
                         "\"%.40s\"",
                         name, value);
    *out *= seconds[unit - units];
    return 0;
}

static int set_gc_option(struct options *o, const char *name, const char *value,
                         struct fault *f) {
    if (strcmp(name, "dry-run") == 0) {
        o->gc.dry_run = true;
        return 0;
    }
    return set_age(name, value,
                   strcmp(name, "untagged-older-than") == 0 ? &o->gc.untagged
                   : strcmp(name, "files-older-than") == 0  ? &o->gc.files
                                                            : &o->gc.operations,
                   f);
}

/* A number of bytes, K, M, G or T of them. */
static int set_memory(const char *value, int64_t *out, struct fault *f) {
    static const char units[] = "KMGT";
    char *end;
    double number = strtod(value, &end);
    const char *unit = *end ? strchr(units, *end) : NULL;
    for (int i = 0; unit && i <= unit - units; i++)
        number *= 1024;
    if (end == value || (*end && (!unit || end[1])) ||
        !(number >= (double)LIMIT_MEMORY_MIN) || number > 1e18)
        return fault_set(f, 400,
                         "--memory wants 4M or more, such as 512M or 2G, not "
                         "\"%.40s\"",
                         value);
    *out = (int64_t)number;
    return 0;
}

static int set_cpus(const char *value, double *out, struct fault *f) {
    char *end;
    *out = strtod(value, &end);
    if (end == value || *end || !(*out >= LIMIT_CPUS_MIN) ||
        *out > LIMIT_CPUS_MAX)
        return fault_set(f, 400,
                         "--cpus wants a number such as 0.5 or 2, not "
                         "\"%.40s\"",
                         value);
    return 0;
}

static int set_count(const char *name, const char *value, int64_t low,
                     int64_t high, size_t *out, struct fault *f) {
    int64_t number;
    if (!parse_int(value, &number) || number < low || number > high)
        return fault_set(f, 400,
                         "--%s wants a number from %lld to %lld, not \"%.40s\"",
                         name, (long long)low, (long long)high, value);
    *out = (size_t)number;
    return 0;
}

static int set_runtime(const char *value, struct options *o, struct fault *f) {
    o->runtime_given = true;
    if (strcmp(value, RUNTIME_NATIVE) == 0) {
        o->config.runtime = NULL;
        return 0;
    }
    o->config.runtime = &o->runtime;
    return runtime_find(value, &o->runtime, f);
}

static int set_option(struct options *o, const char *name, const char *value,
                      struct fault *f) {
    int64_t number;
    struct engine_config *c = &o->config;
    if (strcmp(name, "data-dir") == 0) {
        set_path(o->data_dir, sizeof o->data_dir, value);
    } else if (strcmp(name, "socket") == 0) {
        set_path(o->socket_path, sizeof o->socket_path, value);
        o->socket_given = true;
    } else if (strcmp(name, "listen") == 0) {
        c->listen = value;
    } else if (strcmp(name, "token-file") == 0) {
        o->token_file = value;
    } else if (strcmp(name, "idle-exit") == 0) {
        return set_seconds(value, &c->idle_seconds, f);
    } else if (strcmp(name, "memory") == 0) {
        return set_memory(value, &c->limits.memory_bytes, f);
    } else if (strcmp(name, "cpus") == 0) {
        return set_cpus(value, &c->limits.cpus, f);
    } else if (strcmp(name, "pids") == 0) {
        if (!parse_int(value, &number) || number < 1 || number > LIMIT_PIDS_MAX)
            return fault_set(f, 400, "--pids wants a number from 1 to %d",
                             LIMIT_PIDS_MAX);
        c->limits.pids = number;
    } else if (strcmp(name, "ready-fd") == 0) {
        if (!parse_int(value, &number) || number < 1 || number > 65535)
            return fault_set(f, 400, "--ready-fd wants a descriptor's number");
        c->ready_fd = (int)number;
    } else if (strcmp(name, "runtime") == 0) {
        return set_runtime(value, o, f);
    } else if (strcmp(name, "nice") == 0) {
        if (!parse_int(value, &number) || number < 0 ||
            number > SANDBOX_NICE_MAX)
            return fault_set(f, 400, "--nice wants a number from 0 to %d",
                             SANDBOX_NICE_MAX);
        c->nice = (int)number;
    } else if (strcmp(name, "max-runs") == 0) {
        return set_count(name, value, 1, RUNS_MAX, &c->max_runs, f);
    } else if (strcmp(name, "max-queued") == 0) {
        return set_count(name, value, 0, QUEUED_MAX, &c->max_queued, f);
    } else if (strcmp(name, "dry-run") == 0 || strstr(name, "-older-than")) {
        return set_gc_option(o, name, value, f);
    } else if (strcmp(name, "yes") == 0) {
        o->yes = true;
    } else if (strcmp(name, "output") == 0) {
        o->output = value;
    } else if (strcmp(name, "oci") == 0) {
        o->oci = value;
    } else {
        o->tag = value;
    }
    return 0;
}

/* By its name or a beginning of it that no other option shares. */
static const struct option *find_option(const char *name, size_t length,
                                        unsigned command) {
    const struct option *found = NULL;
    for (int i = 0; i < OPTIONS; i++) {
        if (!(known[i].commands & command) ||
            strncmp(known[i].name, name, length) != 0)
            continue;
        if (known[i].name[length] == 0)
            return &known[i];
        if (found)
            return NULL;
        found = &known[i];
    }
    return found;
}

/* Reads argv[i], an option, and its value; gives the index of the last. */
static int read_option(char *const argv[], int i, unsigned command,
                       struct options *o, struct fault *f) {
    const char *name = strcmp(argv[i], "-o") == 0 ? "output" : argv[i] + 2;
    const char *equals = strchr(name, '=');
    size_t length = equals ? (size_t)(equals - name) : strlen(name);
    const struct option *option = find_option(name, length, command);
    if (length == 0 || !option) {
        char copy[48];
        snprintf(copy, sizeof copy, "%.*s", (int)length, name);
        return refuse_option(copy, command, f);
    }
    if (!option->value && equals)
        return fault_set(f, 400, "--%s takes no value", option->name);
    if (!option->value)
        return set_option(o, option->name, NULL, f) < 0 ? -1 : i;
    const char *value = equals ? equals + 1 : argv[++i];
    if (!value || !*value)
        return fault_set(f, 400, "--%s wants a value: %s", option->name,
                         option->value);
    return set_option(o, option->name, value, f) < 0 ? -1 : i;
}

static bool is_help(const char *text) {
    return strcmp(text, "--help") == 0 || strcmp(text, "-h") == 0;
}

static int read_arguments(int from, int to, char *const argv[],
                          unsigned command, struct options *o,
                          struct fault *f) {
    for (int i = from; i < to; i++) {
        if (is_help(argv[i])) {
            o->help = true;
        } else if (strncmp(argv[i], "--", 2) == 0 ||
                   strcmp(argv[i], "-o") == 0) {
            i = read_option(argv, i, command, o, f);
            if (i < 0)
                return -1;
        } else if (!(command & (SERVE | GC | DOCTOR | PURGE)) && !o->operand) {
            o->operand = argv[i];
        } else {
            return fault_set(f, 400, "what is \"%.40s\" for?", argv[i]);
        }
    }
    return 0;
}

static int check(const struct options *o, struct fault *f) {
    if (o->help)
        return 0;
    if (strcmp(o->command, "help") == 0 && o->operand &&
        command_index(o->operand) == COMMANDS)
        return refuse_command(o->operand, f);
    if (o->config.listen && !o->token_file)
        return fault_set(f, 400,
                         "--listen needs --token-file: anybody on this "
                         "machine can connect");
    if (strcmp(o->command, "import") == 0 && !o->operand)
        return fault_set(f, 400,
                         "import wants a FILE, - for standard input, "
                         "oci:DIR or docker://HOST/NAME:TAG");
    if (strcmp(o->command, "export") == 0 && !o->operand)
        return fault_set(f, 400, "export wants an image: its tag or uuid");
    if (o->oci && o->output)
        return fault_set(f, 400, "--oci makes a directory: it needs no -o");
    return 0;
}

/* The index of the command: behind the options that stand before it, each
 * with its value. argc if there is none. */
static int find_command(int argc, char *const argv[]) {
    int i = 1;
    while (i < argc && strncmp(argv[i], "--", 2) == 0 && !is_help(argv[i]) &&
           strcmp(argv[i], "--version") != 0) {
        const char *name = argv[i] + 2;
        size_t length = strcspn(name, "=");
        const struct option *option = find_option(name, length, ~0u);
        i += option && option->value && !name[length] ? 2 : 1;
    }
    return i < argc ? i : argc;
}

static int read_environment(struct options *o, unsigned command,
                            struct fault *f) {
    const char *runtime = variable("CONTREE_RUNTIME");
    if (find_place(o, f) < 0)
        return -1;
    if (runtime && !o->runtime_given && command & (SERVE | DOCTOR))
        return set_runtime(runtime, o, f);
    return 0;
}

int options_parse(int argc, char *const argv[], struct options *out,
                  struct fault *f) {
    int at = find_command(argc, argv);
    *out = (struct options){.command = at < argc ? argv[at] : "help"};
    out->config = (struct engine_config){.idle_seconds = 300,
                                         .ready_fd = -1,
                                         .nice = SANDBOX_NICE,
                                         .max_runs = RUNS_MAX,
                                         .max_queued = 1024};
    out->gc = (struct gc_options){
        .untagged = GC_AGE, .operations = GC_AGE, .files = GC_AGE};
    if (at == argc && argc > 1)
        return fault_set(
            f, 400, "the command is missing (contree-engine help lists all)");
    if (is_help(out->command))
        out->command = "help";
    if (strcmp(out->command, "--version") == 0)
        out->command = "version";
    int found = command_index(out->command);
    if (found == COMMANDS)
        return refuse_command(out->command, f);
    unsigned command = 1u << found;
    if (read_arguments(1, at, argv, command, out, f) < 0 ||
        read_arguments(at + 1, argc, argv, command, out, f) < 0 ||
        check(out, f) < 0 || read_environment(out, command, f) < 0)
        return -1;
    out->config.data_dir = out->data_dir;
    out->config.socket_path = out->socket_path;
    return 0;
}

/* ---- help ---- */

static void print_option(const struct option *o) {
    char left[40];
    const char *line = o->what;
    snprintf(left, sizeof left, "--%s %s", o->name, o->value ? o->value : "");
    printf("  %-28s", left);
    for (;;) {
        size_t length = strcspn(line, "\n");
        printf("%.*s\n", (int)length, line);
        if (!line[length])
            return;
        line += length + 1;
        printf("  %-28s", "");
    }
}

static void print_command(int i) {
    unsigned bit = 1u << i;
    printf("usage: contree-engine %s %s\n\n%s\n", commands[i].name,
           commands[i].arguments, commands[i].what);
    for (int j = 0, first = 1; j < OPTIONS; j++) {
        if (!(known[j].commands & bit))
            continue;
        if (first)
            puts("");
        first = 0;
        print_option(&known[j]);
    }
}

void options_help(const char *command) {
    for (int i = 0; command && i < COMMANDS; i++)
        if (strcmp(command, commands[i].name) == 0) {
            print_command(i);
            return;
        }
    puts("usage: contree-engine COMMAND [OPTIONS]\n");
    for (int i = 0; i < COMMANDS; i++)
        printf("  %-9s %s\n", commands[i].name, commands[i].what);
    puts("\ncontree-engine COMMAND --help tells more.");
}
